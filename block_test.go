package ratelimit_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/testsize"
)

// tooMany is a cost that no rule of these tests allows, so that each Take is a violation.
const tooMany = 1000

// lastDenial makes cfg note its last denial in the Decision that it returns.
func lastDenial(cfg *ratelimit.Config) *ratelimit.Decision {
	last := new(ratelimit.Decision)
	cfg.Hooks.Denied = func(_ *http.Request, d ratelimit.Decision) { *last = d }
	return last
}

// violateUntilBlocked commits violations of the rule p as the client 192.0.2.1 until it is blocked.
// It returns for how long.
func violateUntilBlocked(t testing.TB, l *ratelimit.Limiter) time.Duration {
	t.Helper()
	for range 10 {
		d, err := l.Take(t.Context(), "p", client(), tooMany)
		require.NoError(t, err)
		require.False(t, d.Allowed)
		if d.Reason == ratelimit.ReasonBlocked {
			return d.RetryAfter
		}
	}
	require.Fail(t, "not blocked")
	return 0
}

// violate is violateUntilBlocked for a block that exactly n violations begin.
func violate(t testing.TB, l *ratelimit.Limiter, n int) time.Duration {
	t.Helper()
	for range n - 1 {
		d, err := l.Take(t.Context(), "p", client(), tooMany)
		require.NoError(t, err)
		require.Equal(t, ratelimit.ReasonExceedsBurst, d.Reason)
	}
	d, err := l.Take(t.Context(), "p", client(), tooMany)
	require.NoError(t, err)
	require.Equal(t, ratelimit.ReasonBlocked, d.Reason)
	return d.RetryAfter
}

// blockedDecision is the decision that the client 192.0.2.1 is blocked under the rule p.
func blockedDecision(wait time.Duration) ratelimit.Decision {
	return ratelimit.Decision{Reason: ratelimit.ReasonBlocked, Rule: "p", Mode: ratelimit.Enforce, Key: client(), RetryAfter: wait}
}

// blockPeer returns the peer of the i-th of many clients.
func blockPeer(i int) string { return fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&255, i&255) }

func TestRetryAfterIsTheLongerOfBlockAndLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		block := ratelimit.Block{After: ratelimit.Per(1, time.Hour)}
		h := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{blocking(block)}}).Handler(ok)
		serve(h, with())
		assert.Equal(t, []string{"3600"}, serve(h, with()).Header()["Retry-After"], "the block takes a minute, the limit an hour")
		time.Sleep(time.Hour)
		assert.Equal(t, 200, serve(h, with()).Code)
	})
}

// A request during a block is no violation, does not lengthen the block, and takes nothing.
func TestRequestsDuringABlockCostNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		block := ratelimit.Block{After: ratelimit.Per(2, time.Hour), For: time.Minute}
		l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("all", "100 per day"), blocking(block)}})
		h := l.Handler(ok)
		codes(h, with(), with(), with())
		require.Len(t, l.Blocked(), 1)
		for range 59 {
			time.Sleep(time.Second)
			for range 10 {
				require.Equal(t, 429, serve(h, with()).Code)
			}
		}
		d, err := l.Peek(t.Context(), "p", client())
		require.NoError(t, err)
		assert.Equal(t, []any{ratelimit.ReasonBlocked, time.Second}, []any{d.Reason, d.RetryAfter})
		time.Sleep(time.Second)
		assert.Empty(t, l.Blocked())
		assert.Equal(t, int64(99), remaining(t, l, "all"))
		serve(h, with())
		assert.Empty(t, l.Blocked(), "one violation since, of two")
		serve(h, with())
		assert.Len(t, l.Blocked(), 1)
	})
}

// Of 200 goroutines that commit violations at once, one blocks the key, for the first time.
func TestViolationsAtOnceBlockOnce(t *testing.T) {
	for _, tc := range []struct {
		name   string
		shared bool
	}{{"in memory", false}, {"in another store", true}} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s ratelimit.Store
				if tc.shared {
					s = newMortal()
				}
				var mu sync.Mutex
				var times []int // of all blocks
				l := newLimiter(t, ratelimit.Config{
					Rules: []ratelimit.Rule{blocking(ratelimit.Block{After: ratelimit.Per(20, time.Hour)})},
					Store: s, OnStoreFailure: ratelimit.FailClosed,
					Hooks: ratelimit.Hooks{Blocked: func(_ context.Context, b ratelimit.Blocked) {
						mu.Lock()
						defer mu.Unlock()
						times = append(times, b.Times)
					}},
				})
				h := l.Handler(ok)
				var all sync.WaitGroup
				for range 200 {
					all.Go(func() { codes(h, with(), with(), with(), with(), with()) })
				}
				all.Wait()
				assert.Equal(t, []int{1}, times)
				require.Len(t, l.Blocked(), 1)
				assert.Equal(t, time.Minute, time.Until(l.Blocked()[0].Until))
				time.Sleep(time.Minute)
				assert.Equal(t, 2*time.Minute, violate(t, l, 20))
			})
		})
	}
}

func TestOnlyEnforcedRulesBlock(t *testing.T) {
	t.Parallel()
	for _, mode := range []ratelimit.Mode{ratelimit.DryRun, ratelimit.Off, ratelimit.EnforcePercent(0)} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			r := blocking(ratelimit.Block{After: ratelimit.Per(1, time.Hour)})
			r.Mode = mode
			l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{r}})
			h := l.Handler(ok)
			assert.Equal(t, []int{200, 200, 200, 200, 200}, codes(h, with(), with(), with(), with(), with()))
			assert.Empty(t, l.Blocked())
			require.NoError(t, l.SetMode("p", ratelimit.Enforce))
			codes(h, with(), with())
			require.Len(t, l.Blocked(), 1)
			require.NoError(t, l.SetMode("p", mode))
			assert.Equal(t, 200, serve(h, with()).Code)
		})
	}
}

func TestRequestsWithoutAKeyAreNeverBlocked(t *testing.T) {
	t.Parallel()
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{blocking(ratelimit.Block{After: ratelimit.Per(1, time.Hour)})}})
	lost := func() *http.Request { return request("@") }
	assert.Equal(t, []int{200, 429, 429, 429}, codes(l.Handler(ok), lost(), lost(), lost(), lost()))
	assert.Empty(t, l.Blocked())
}

// Keys without room in a full store share a bucket. So none of them is blocked for the others.
func TestKeysWithoutRoomAreNeverBlocked(t *testing.T) {
	t.Parallel()
	l := newLimiter(t, ratelimit.Config{
		Rules: []ratelimit.Rule{blocking(ratelimit.Block{After: ratelimit.Per(1, time.Hour)})},
		Store: ratelimit.NewMemoryStore(ratelimit.MemoryConfig{MaxKeys: 1}),
	})
	h := l.Handler(ok)
	for i := range 10 {
		want := []int{429, 429, 429}
		if i < 2 { // the first client has the only bucket, the others share one
			want[0] = 200
		}
		require.Equal(t, want, codes(h, request(blockPeer(i)), request(blockPeer(i)), request(blockPeer(i))), "client %d", i)
	}
	assert.Empty(t, l.Blocked())
}

// If there are more blocks than a limiter remembers, it asks the store about the others: no block
// is lost. In the smaller size, memory and flood are a fifth as large.
func TestBlocksBeyondMemoryAreInTheStore(t *testing.T) {
	n, room := testsize.Of(2000, 400), testsize.Of(1000, 200)
	for _, tc := range []struct {
		name   string
		shared bool
	}{{"in memory", false}, {"in another store", true}} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				told, s := 0, newMortal()
				p := rule("p", "1 per minute")
				p.Block = &ratelimit.Block{After: ratelimit.Per(1, time.Hour), For: time.Hour}
				cfg := ratelimit.Config{
					Rules: []ratelimit.Rule{p}, Hooks: ratelimit.Hooks{Blocked: func(context.Context, ratelimit.Blocked) { told++ }},
				}
				if tc.shared {
					cfg.Store, cfg.OnStoreFailure = s, ratelimit.FailOpen
				}
				last := lastDenial(&cfg)
				l := newLimiter(t, cfg)
				ratelimit.SetBlocksKnown(l, room)
				h := l.Handler(ok)
				flood := func(from int) {
					for i := from; i < from+n; i++ {
						require.Equal(t, []int{200, 429}, codes(h, request(blockPeer(i)), request(blockPeer(i))))
					}
				}
				flood(0)
				require.Equal(t, n, told)
				known := len(l.Blocked())
				assert.InDelta(t, room, known, 64)
				requireAllBlocked := func() {
					for i := range n {
						*last = ratelimit.Decision{}
						require.Equal(t, 429, serve(h, request(blockPeer(i))).Code)
						require.Equal(t, ratelimit.ReasonBlocked, last.Reason)
					}
				}
				before := s.Calls.Load()
				requireAllBlocked()
				if tc.shared {
					assert.Equal(t, int64(n-known), s.Calls.Load()-before, "a call for each block that is not known")
				}
				time.Sleep(time.Minute) // when the limit would allow them
				requireAllBlocked()
				require.Equal(t, n, told)
				assert.Len(t, l.Blocked(), known)
				time.Sleep(time.Hour)
				flood(n) // other clients, so that only new blocks find out that the old ones have ended
				assert.InDelta(t, known, len(l.Blocked()), 64, "blocks that have ended make room")
			})
		})
	}
}
