package faults

import (
	"context"
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

// skew is a hook by which scripts read a clock of the server that is off: the text of every
// script is put after one that changes what TIME answers.
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
			args[1] = strings.Repeat("0", 40) // so that the text has to be sent
		case "eval":
			args[1] = fmt.Sprintf(clock, s.offset.Load()) + fmt.Sprint(args[1])
		}
		return next(ctx, cmd)
	}
}

func (s *skew) step(d time.Duration) { s.offset.Add(d.Microseconds()) }

// F7: the clock of the server is stepped, or that of its successor is another one. Behind,
// nothing is minted and nobody is locked out; ahead, nobody gets more than a burst.
func TestF07ServerClockSteps(t *testing.T) {
	noLeaks(t)
	client := redistest.Start(t).Client()
	var clock skew
	client.AddHook(&clock)
	const burst = 10
	// A token takes 100 s and the bucket 1000 s.
	i := newInstance(t, client, "36 per hour burst 10", ratelimit.Config{StoreTimeout: 10 * time.Second})
	wait := func(d time.Duration) ratelimit.Decision { // of a token, as the store says
		clock.step(d)
		answer, err := i.Peek(t.Context(), "r", ratelimit.UserKey("a"))
		require.NoError(t, err)
		return answer
	}
	require.EqualValues(t, burst, i.drain(t, "a"))
	for _, back := range []time.Duration{time.Millisecond, time.Second, time.Minute, 24 * time.Hour, 10 * 365 * 24 * time.Hour} {
		d := wait(-back)
		t.Logf("%v behind: %d left, a token in %v, full in %v", back, d.Remaining, d.RetryAfter, d.ResetAfter)
		assert.Zero(t, d.Remaining)
		assert.LessOrEqual(t, d.RetryAfter, 100*time.Second, "locked out")
		assert.LessOrEqual(t, d.ResetAfter, 1000*time.Second, "locked out")
	}
	// The way back is no more than the time that passes for anybody.
	require.NoError(t, i.Reset(t.Context(), "r", ratelimit.UserKey("a")))
	require.EqualValues(t, burst, i.drain(t, "a"))
	assert.EqualValues(t, 2, wait(210*time.Second).Remaining)
	assert.EqualValues(t, burst, wait(10*365*24*time.Hour).Remaining, "at most a burst")
}

// F22: a machine sleeps. Where its clock stood still meanwhile, as the one for intervals does,
// tokens come late, and where it went on, a bucket is full at most; never early.
func TestF22SuspendResume(t *testing.T) {
	noLeaks(t)
	t.Run("server, whose clock goes on", func(t *testing.T) {
		client := redistest.Start(t).Client()
		var clock skew
		client.AddHook(&clock)
		i := newInstance(t, client, "36 per hour burst 10", ratelimit.Config{StoreTimeout: 10 * time.Second})
		require.EqualValues(t, 10, i.drain(t, "a"))
		require.EqualValues(t, 10, i.drain(t, "b"))
		clock.step(1000*time.Second - 20*time.Second) // less what the test may take
		assert.EqualValues(t, 9, i.left(t, "a"))
		clock.step(8 * time.Hour)
		assert.EqualValues(t, 10, i.left(t, "b"))
	})
	t.Run("instance, whose clock stands still", func(t *testing.T) {
		client := redistest.Start(t).Client()
		var machine skew
		client.AddHook(&machine)
		i := newInstance(t, client, "36 per hour burst 10", ratelimit.Config{StoreTimeout: 10 * time.Second})
		require.EqualValues(t, 10, i.drain(t, "a"))
		d := i.take("a") // remembered here for 100 s of this clock
		machine.step(50 * time.Second)
		late := i.take("a")
		assert.False(t, late.Allowed)
		assert.LessOrEqual(t, late.RetryAfter, d.RetryAfter, "never longer than it was told")
	})
	t.Run("memory, whose clock stands still", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { // in which no time passes but what is slept
			store, l := ratelimit.NewMemoryStore(ratelimit.MemoryConfig{}), nameLimit(t, 0, "36 per hour burst 10")
			for range 10 {
				allowed, err := takeOne(store, "a", l)
				require.True(t, allowed && err == nil)
			}
			assert.EqualValues(t, 0, left(t, store, "a", l))
			time.Sleep(99 * time.Second)
			assert.EqualValues(t, 0, left(t, store, "a", l))
			time.Sleep(time.Second)
			assert.EqualValues(t, 1, left(t, store, "a", l))
		})
	})
}

// The clocks of three instances disagree by a quarter of a century and by their speed. They
// admit what they do with one clock.
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
	// In a bubble it is the year 2000, and the clock stands still but for what is slept.
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
				require.NoError(t, err)
				if d.Allowed {
					got++
				}
			}
			time.Sleep(3 * time.Hour) // by which a clock of its own would have a token more
		}
		t.Logf("one clock: %d admitted; clocks that disagree: %d admitted", want, got)
		assert.Equal(t, want, got)
	})
}
