package grpclimit_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/adapters/grpclimit"
	"github.com/ratelimit-go/ratelimit/rpclimit"
	"github.com/ratelimit-go/ratelimit/store"
)

func TestDenialTellsTheClient(t *testing.T) {
	svc := &service{}
	c := serve(t, svc, rpclimit.Config{
		Limiter: budget(t, "2 per minute"), Rules: []rpclimit.Rule{{Name: "calls"}}, Fields: true,
	})
	var trailer metadata.MD
	require.NoError(t, call(t, c, grpc.Trailer(&trailer)))
	assert.Equal(t, []string{`"calls";q=2;w=60`}, trailer["ratelimit-policy"])
	assert.Equal(t, []string{`"calls";r=1;t=30`}, trailer["ratelimit"])
	require.NoError(t, call(t, c))

	var header metadata.MD
	err := call(t, c, grpc.Trailer(&trailer), grpc.Header(&header))
	require.Equal(t, codes.ResourceExhausted, status.Code(err), "%v", err)
	assert.Contains(t, err.Error(), `too many calls for "calls" (2 per minute); retry after `)
	wait := retryInfo(err).GetRetryDelay().AsDuration()
	assert.InDelta(t, 30, wait.Seconds(), 5)
	assert.Zero(t, wait%time.Millisecond)
	quota := detail[*errdetails.QuotaFailure](err).GetViolations()
	require.Len(t, quota, 1)
	assert.Equal(t, "calls", quota[0].GetSubject())
	assert.Equal(t, `"calls" (2 per minute)`, quota[0].GetDescription())
	require.Len(t, trailer["grpc-retry-pushback-ms"], 1)
	pushback, err := time.ParseDuration(trailer["grpc-retry-pushback-ms"][0] + "ms")
	require.NoError(t, err)
	assert.Equal(t, wait, pushback, "the trailer is exactly the RetryInfo")
	assert.Equal(t, []string{`"calls";r=0;t=30`}, trailer["ratelimit"])
	assert.Empty(t, header, "a header keeps grpc-go from trying again")
	assert.EqualValues(t, 2, svc.calls.Load())
}

// A server whose Guard could not be made must not start without limits.
func TestNilGuardPanicsAtStart(t *testing.T) {
	const want = "grpclimit: a nil Guard: want the Guard of rpclimit.New"
	assert.PanicsWithValue(t, want, func() { grpclimit.ServerOptions(nil) })
	assert.PanicsWithValue(t, want, func() { grpclimit.Unary(nil) })
	assert.PanicsWithValue(t, want, func() { grpclimit.Stream(nil) })
}

func TestDenialOfAStreamTellsTheClient(t *testing.T) {
	c := serve(t, &service{}, rpclimit.Config{
		Limiter: budget(t, "1 per minute"), Rules: []rpclimit.Rule{{Name: "calls"}}, Fields: true,
	})
	open := func() error {
		stream, err := c.FullDuplexCall(t.Context())
		require.NoError(t, err)
		require.NoError(t, stream.CloseSend())
		_, err = stream.Recv()
		if status.Code(err) == codes.ResourceExhausted {
			assert.Len(t, stream.Trailer()["grpc-retry-pushback-ms"], 1)
			assert.Len(t, stream.Trailer()["ratelimit"], 1)
		}
		return err
	}
	assert.ErrorContains(t, open(), "EOF")
	err := open()
	assert.Equal(t, codes.ResourceExhausted, status.Code(err))
	assert.Positive(t, retryInfo(err).GetRetryDelay().AsDuration())
}

func TestDenialThatWaitingCannotHelp(t *testing.T) {
	cost := func(context.Context, rpclimit.Call, any) int64 { return 5 }
	noKey := func(context.Context, rpclimit.Call) (ratelimit.Key, error) {
		return ratelimit.Key{}, ratelimit.ErrNoKey
	}
	tests := []struct {
		name string
		rule rpclimit.Rule
		code codes.Code
	}{
		{"more than the burst", rpclimit.Rule{Name: "calls", Cost: cost}, codes.ResourceExhausted},
		{"no key", rpclimit.Rule{Name: "calls", Key: noKey, OnMissingKey: ratelimit.DenyRequest}, codes.PermissionDenied},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := serve(t, &service{}, rpclimit.Config{
				Limiter: budget(t, "2 per minute"), Rules: []rpclimit.Rule{tt.rule},
			}, retrying)
			var trailer metadata.MD
			began := time.Now()
			err := call(t, c, grpc.Trailer(&trailer))
			assert.Equal(t, tt.code, status.Code(err), "%v", err)
			assert.Nil(t, retryInfo(err))
			assert.Equal(t, []string{"-1"}, trailer["grpc-retry-pushback-ms"])
			assert.Less(t, time.Since(began), 5*time.Second, "grpc-go has not tried again")
		})
	}
}

// brokenStore fails on demand.
type brokenStore struct{}

func (brokenStore) Apply(context.Context, []store.Op) error { return errors.New("connection lost") }

func TestStoreFailure(t *testing.T) {
	tests := []struct {
		policy ratelimit.FailurePolicy
		code   codes.Code
	}{
		{ratelimit.FailOpen, codes.OK},
		{ratelimit.FailClosed, codes.Unavailable},
		{ratelimit.UseMemory, codes.OK},
	}
	for _, tt := range tests {
		t.Run(string(tt.policy), func(t *testing.T) {
			l := limiter(t, ratelimit.Config{
				Store: brokenStore{}, OnStoreFailure: tt.policy,
				Budgets: []ratelimit.Budget{{Name: "calls", Limits: ratelimit.MustParse("1 per minute")}},
				Hooks: ratelimit.Hooks{
					Error:      func(context.Context, error) {},
					StoreState: func(context.Context, store.State) {},
				},
			})
			c := serve(t, &service{}, rpclimit.Config{Limiter: l, Rules: []rpclimit.Rule{{Name: "calls"}}})
			var trailer metadata.MD
			err := call(t, c, grpc.Trailer(&trailer))
			assert.Equal(t, tt.code, status.Code(err), "%v", err)
			assert.Nil(t, detail[*errdetails.QuotaFailure](err))
			if tt.policy == ratelimit.UseMemory {
				assert.Equal(t, codes.ResourceExhausted, status.Code(call(t, c)))
			}
		})
	}
}

func TestSeveralRulesAreAllOrNothing(t *testing.T) {
	l := limiter(t, ratelimit.Config{Budgets: []ratelimit.Budget{
		{Name: "user", Limits: ratelimit.MustParse("10 per hour")},
		{Name: "method", Limits: ratelimit.MustParse("2 per hour")},
	}})
	user := func(context.Context) string { return "alice" }
	c := serve(t, &service{}, rpclimit.Config{Limiter: l, Rules: []rpclimit.Rule{
		{Name: "user", Key: rpclimit.ByUser(user)},
		{Name: "method", Key: rpclimit.AllOf(rpclimit.ByUser(user), rpclimit.ByMethod())},
	}})
	require.NoError(t, call(t, c))
	require.NoError(t, call(t, c))
	for range 5 {
		err := call(t, c)
		require.Equal(t, codes.ResourceExhausted, status.Code(err))
		assert.Equal(t, "method", detail[*errdetails.QuotaFailure](err).GetViolations()[0].GetSubject())
	}
	_, err := c.UnaryCall(t.Context(), &testgrpc.SimpleRequest{})
	require.NoError(t, err, "another method")
	d, err := l.Peek(t.Context(), "user", ratelimit.UserKey("alice"))
	require.NoError(t, err)
	assert.EqualValues(t, 7, d.Remaining, "denied calls cost the user nothing")
}
