package grpclimit_test

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/rpclimit"
)

// ping sends a message of n bytes and returns the error of the answer.
func ping(stream testgrpc.TestService_FullDuplexCallClient, n int) error {
	err := stream.Send(&testgrpc.StreamingOutputCallRequest{Payload: &testgrpc.Payload{Body: make([]byte, n)}})
	if err != nil && err != io.EOF { // io.EOF: Recv has the status
		return err
	}
	_, err = stream.Recv()
	return err
}

func TestMessageOverTheLimitEndsItsStream(t *testing.T) {
	c := serve(t, &service{duplex: echo}, rpclimit.Config{
		Limiter: budget(t, "3 per minute"),
		Rules:   []rpclimit.Rule{{Name: "calls", PerMessage: true, Methods: []string{duplex}}},
	})
	stream, err := c.FullDuplexCall(t.Context())
	require.NoError(t, err)
	for range 3 {
		require.NoError(t, ping(stream, 1))
	}
	err = ping(stream, 1)
	assert.Equal(t, codes.ResourceExhausted, status.Code(err),
		"though the handler took the denial for the end of the stream: %v", err)
	assert.Positive(t, retryInfo(err).GetRetryDelay().AsDuration())
	assert.Len(t, stream.Trailer()["grpc-retry-pushback-ms"], 1)
}

func TestHandlerCannotSendAfterADenial(t *testing.T) {
	sent := make(chan error, 2)
	stubborn := func(stream testgrpc.TestService_FullDuplexCallServer) error {
		for range 2 {
			_, _ = stream.Recv()
			sent <- stream.Send(&testgrpc.StreamingOutputCallResponse{})
		}
		_, err := stream.Recv()
		assert.Equal(t, codes.ResourceExhausted, status.Code(err), "every later message is denied")
		return nil
	}
	c := serve(t, &service{duplex: stubborn}, rpclimit.Config{
		Limiter: budget(t, "1 per minute"), Rules: []rpclimit.Rule{{Name: "calls", PerMessage: true}},
	})
	stream, err := c.FullDuplexCall(t.Context())
	require.NoError(t, err)
	require.NoError(t, ping(stream, 1))
	assert.Equal(t, codes.ResourceExhausted, status.Code(ping(stream, 1)))
	require.NoError(t, <-sent)
	assert.Equal(t, codes.ResourceExhausted, status.Code(<-sent))
}

func TestMessagesWaitForTheirTokens(t *testing.T) {
	c := serve(t, &service{}, rpclimit.Config{
		Limiter: budget(t, "50 per second burst 1"),
		Rules:   []rpclimit.Rule{{Name: "calls", PerMessage: true, MaxWait: time.Second}},
	})
	stream, err := c.FullDuplexCall(t.Context())
	require.NoError(t, err)
	began := time.Now()
	for range 11 {
		require.NoError(t, ping(stream, 1))
	}
	assert.GreaterOrEqual(t, time.Since(began), 200*time.Millisecond)
}

func TestMessagesCostWhatTheyWeigh(t *testing.T) {
	size := func(_ context.Context, _ rpclimit.Call, msg any) int64 {
		in := msg.(*testgrpc.StreamingOutputCallRequest)
		return int64(len(in.GetPayload().GetBody()))
	}
	l := budget(t, "100 per hour")
	c := serve(t, &service{}, rpclimit.Config{Limiter: l, Rules: []rpclimit.Rule{
		{Name: "calls", PerMessage: true, Cost: size, Key: rpclimit.Global("all")},
	}})
	stream, err := c.FullDuplexCall(t.Context())
	require.NoError(t, err)
	require.NoError(t, ping(stream, 60))
	require.NoError(t, ping(stream, 0), "an empty message costs 1")
	assert.Equal(t, codes.ResourceExhausted, status.Code(ping(stream, 40)))
	d, err := l.Peek(t.Context(), "calls", ratelimit.ValueKey("global", "all"))
	require.NoError(t, err)
	assert.EqualValues(t, 39, d.Remaining)
}

// TestUnaryRequestIsOneMessage has a rule for messages count unary calls too.
func TestUnaryRequestIsOneMessage(t *testing.T) {
	c := serve(t, &service{}, rpclimit.Config{
		Limiter: budget(t, "2 per minute"), Rules: []rpclimit.Rule{{Name: "calls", PerMessage: true}},
	})
	require.NoError(t, call(t, c))
	stream, err := c.FullDuplexCall(t.Context())
	require.NoError(t, err)
	require.NoError(t, ping(stream, 1))
	assert.Equal(t, codes.ResourceExhausted, status.Code(ping(stream, 1)))
	assert.Equal(t, codes.ResourceExhausted, status.Code(call(t, c)))
}
