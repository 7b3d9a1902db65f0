package redisstore_test

import (
	"context"
	"encoding/binary"
	"math"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/redisstore"
	"github.com/ratelimit-go/ratelimit/redisstore/internal/redistest"
	"github.com/ratelimit-go/ratelimit/store"
)

// replying is a client whose server replies a text to each script.
type replying string

func (r replying) RunScript(context.Context, *redisstore.Script, []string, []byte) (string, error) {
	return string(r), nil
}

// A reply that the script cannot have made decides nothing: it neither allows nor denies.
func TestRepliesOfNoScript(t *testing.T) {
	doubles := func(xs ...float64) string {
		var b []byte
		for _, x := range xs {
			b = binary.BigEndian.AppendUint64(b, math.Float64bits(x))
		}
		return string(b)
	}
	const longest = 1 << 53
	for name, reply := range map[string]string{
		"nothing":           "",
		"too short":         doubles(0),
		"too long":          doubles(0, 1, 2, 3),
		"text":              "a text of 16 byt",
		"bytes":             strings.Repeat("\xff", 16),
		"no number":         doubles(math.NaN(), 0),
		"no number behind":  doubles(0, math.NaN()),
		"infinite":          doubles(math.Inf(1), 0),
		"minus infinite":    doubles(math.Inf(-1), 0),
		"negative":          doubles(0, -1),
		"a negative error":  doubles(-1e300, 0),
		"an error too long": doubles(-9, 0) + "ERR text",
		"an error and more": doubles(-8, 0) + "ERR text and more",
		"part of a tick":    doubles(0.5, 1),
		"too much":          doubles(0, longest+2),
		"far too much":      doubles(1e308, 1e308),
	} {
		s, err := redisstore.NewWith(replying(reply), redisstore.Config{})
		require.NoError(t, err)
		wantReason(t, s.Apply(t.Context(), take(limit(t, "r", 0, "5 per minute"), "a", 1)), store.ReasonScript)
		leases := []store.Lease{{Rule: "r", Key: ratelimit.UserKey("a"), Max: 1, TTL: time.Second}}
		wantReason(t, s.Lease(t.Context(), store.Acquire, leases), store.ReasonScript)
		assert.False(t, leases[0].Granted, name)
	}
	s, err := redisstore.NewWith(replying(doubles(-8, 0)+"ERR text"), redisstore.Config{})
	require.NoError(t, err)
	require.ErrorContains(t, s.Apply(t.Context(), take(limit(t, "r", 0, "5 per minute"), "a", 1)), "ERR text")
	s, err = redisstore.NewWith(replying("3"), redisstore.Config{})
	require.NoError(t, err)
	leases := []store.Lease{{Rule: "r", Key: ratelimit.UserKey("a"), Max: 1, TTL: time.Second}}
	wantReason(t, s.Lease(t.Context(), store.Acquire, leases), store.ReasonScript)
}

// integers is a hook by which each script seems to have replied an integer.
type integers struct{}

func (integers) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (integers) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if err := next(ctx, cmd); err != nil {
			return err
		}
		if c, ok := cmd.(interface{ SetVal(val any) }); ok {
			c.SetVal(int64(1))
		}
		return nil
	}
}

func (integers) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// A reply of another type is no lost connection.
func TestReplyThatIsNoString(t *testing.T) {
	client := redistest.Start(t).Client()
	s := newStore(t, client, redisstore.Config{})
	client.AddHook(integers{})
	err := s.Apply(t.Context(), take(limit(t, "r", 0, "5 per minute"), "a", 1))
	wantReason(t, err, store.ReasonScript)
	assert.ErrorContains(t, err, "no string")
}

// An Error that a program makes itself has a text.
func TestErrorWithoutAnError(t *testing.T) {
	assert.Equal(t, "redisstore: timeout: <nil>", (&redisstore.Error{Reason: store.ReasonTimeout}).Error())
}
