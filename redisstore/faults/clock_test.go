package faults

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/redisstore/internal/redistest"
)

// skew is a hook that sets the clock of the server off: it puts text in front of every script that
// changes the answer of TIME.
type skew struct {
	inFlight
	offset atomic.Int64 // microseconds
}

const clock = `local redis = setmetatable({call = function(name, ...)
  local answer = redis.call(name, ...)
  if string.upper(name) == 'TIME' then
    local t = answer[1] * 1000000 + answer[2] + (%d)
    answer = {string.format('%%.0f', math.floor(t / 1000000)), string.format('%%.0f', t %% 1000000)}
  end
  return answer
end}, {__index = redis})
`

func (s *skew) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		switch args := cmd.Args(); strings.ToLower(fmt.Sprint(args[0])) {
		case "evalsha":
			args[1] = strings.Repeat("0", 40) // so that the client must send the text
		case "eval":
			args[1] = fmt.Sprintf(clock, s.offset.Load()) + fmt.Sprint(args[1])
		}
		return next(ctx, cmd)
	}
}

func (s *skew) step(d time.Duration) { s.offset.Add(d.Microseconds()) }

// The clock of the server steps, or its successor has another clock. A clock that is behind creates
// no tokens, and denies no key for longer than a token takes and ten seconds. A clock that is ahead
// gives at most a burst.
func TestServerClockSteps(t *testing.T) {
	noLeaks(t)
	client := redistest.Start(t).Client()
	var clock skew
	client.AddHook(&clock)
	const burst = 10
	// A token takes 100 s and the bucket 1000 s.
	i := newInstance(t, client, "36 per hour burst 10", ratelimit.Config{StoreTimeout: 10 * time.Second})
	stepThenPeek := func(d time.Duration) ratelimit.Decision {
		clock.step(d)
		answer, err := i.Peek(t.Context(), "r", ratelimit.UserKey("a"))
		require.NoError(t, errors.Join(err, answer.StoreErr))
		return answer
	}
	require.EqualValues(t, burst, i.takeAll(t, "a"))
	for _, back := range []time.Duration{time.Millisecond, time.Second, time.Minute, 24 * time.Hour, 10 * 365 * 24 * time.Hour} {
		d := stepThenPeek(-back)
		t.Logf("%v behind: %d left, a token in %v, full in %v", back, d.Remaining, d.RetryAfter, d.ResetAfter)
		assert.Zero(t, d.Remaining)
		assert.LessOrEqual(t, d.RetryAfter, 110*time.Second, "denied for too long")
		assert.LessOrEqual(t, d.ResetAfter, 1000*time.Second, "denied for too long")
	}
	// When the clock steps forward, time passes as usual.
	require.NoError(t, i.Reset(t.Context(), "r", ratelimit.UserKey("a")))
	require.EqualValues(t, burst, i.takeAll(t, "a"))
	assert.EqualValues(t, 2, stepThenPeek(210*time.Second).Remaining)
	assert.EqualValues(t, burst, stepThenPeek(10*365*24*time.Hour).Remaining, "at most a burst")
}

// A machine sleeps. If its clock stood still meanwhile, as a monotonic clock does, tokens come
// late. If it went on, a bucket is full at most. No token comes early.
func TestMachineSleeps(t *testing.T) {
	noLeaks(t)
	t.Run("server, whose clock goes on", func(t *testing.T) {
		client := redistest.Start(t).Client()
		var clock skew
		client.AddHook(&clock)
		i := newInstance(t, client, "36 per hour burst 10", ratelimit.Config{StoreTimeout: 10 * time.Second})
		require.EqualValues(t, 10, i.takeAll(t, "a"))
		require.EqualValues(t, 10, i.takeAll(t, "b"))
		clock.step(1000*time.Second - 20*time.Second) // the test may take the rest
		assert.EqualValues(t, 9, i.left(t, "a"))
		clock.step(8 * time.Hour)
		assert.EqualValues(t, 10, i.left(t, "b"))
	})
	t.Run("instance, whose clock stands still", func(t *testing.T) {
		client := redistest.Start(t).Client()
		var machine skew
		client.AddHook(&machine)
		i := newInstance(t, client, "36 per hour burst 10", ratelimit.Config{StoreTimeout: 10 * time.Second})
		require.EqualValues(t, 10, i.takeAll(t, "a"))
		d := i.take("a") // the instance caches the denial for 100 s of this clock
		machine.step(50 * time.Second)
		late := i.take("a")
		assert.False(t, late.Allowed)
		assert.LessOrEqual(t, late.RetryAfter, d.RetryAfter, "never longer than the first RetryAfter")
	})
	t.Run("memory, whose clock stands still", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, l := ratelimit.NewMemoryStore(ratelimit.MemoryConfig{}), nameLimit(t, 0, "36 per hour burst 10")
			for range 10 {
				allowed, err := takeOne(s, "a", l)
				require.True(t, allowed && err == nil)
			}
			assert.EqualValues(t, 0, left(t, s, "a", l))
			time.Sleep(99 * time.Second)
			assert.EqualValues(t, 0, left(t, s, "a", l))
			time.Sleep(time.Second)
			assert.EqualValues(t, 1, left(t, s, "a", l))
		})
	})
}

// The clocks of three instances disagree by a quarter of a century, and in their speed. The
// instances allow as many requests as with one clock.
func TestInstancesWhoseClocksDisagree(t *testing.T) {
	server := redistest.Start(t)
	const limits, burst, rounds = "10 per day", 10, 8
	same := make([]*instance, 3)
	for n := range same {
		same[n] = newInstance(t, server.Client(), limits, ratelimit.Config{StoreTimeout: 30 * time.Second})
	}
	want := 0
	for range rounds {
		for _, i := range same {
			if i.take("same").Allowed {
				want++
			}
		}
	}
	require.Equal(t, burst, want)

	right := newInstance(t, server.Client(), limits, ratelimit.Config{StoreTimeout: 30 * time.Second})
	year := time.Now().Year()
	// In a bubble it is the year 2000, and only Sleep moves the clock.
	synctest.Test(t, func(t *testing.T) {
		client := redis.NewClient(&redis.Options{Addr: server.Addr(), ContextTimeoutEnabled: true})
		defer client.Close()
		still := newInstance(t, client, limits, ratelimit.Config{StoreTimeout: 30 * time.Second})
		racing := newInstance(t, client, limits, ratelimit.Config{StoreTimeout: 30 * time.Second})
		require.Less(t, time.Now().Year(), year)
		got := 0
		for range rounds {
			for _, i := range []*instance{right, still, racing} {
				d, err := i.Take(context.Background(), "r", ratelimit.UserKey("a"), 1)
				require.NoError(t, errors.Join(err, d.StoreErr))
				if d.Allowed {
					got++
				}
			}
			time.Sleep(3 * time.Hour) // in which this clock would add a token
		}
		t.Logf("one clock: %d allowed; clocks that disagree: %d allowed", want, got)
		assert.Equal(t, want, got)
	})
}
