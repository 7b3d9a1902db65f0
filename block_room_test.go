package ratelimit_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/storefake"
	"github.com/ratelimit-go/ratelimit/store"
)

// A key for which the store has no room is blocked by this limiter alone, and no other key with it.
func TestBlockByHandWithoutRoom(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for _, tc := range []struct {
		name string
		d    time.Duration
	}{{"long", year}, {"short", time.Hour}} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				memory := ratelimit.NewMemoryStore(ratelimit.MemoryConfig{MaxKeys: 1})
				p := rule("p", "1000 per second")
				p.Block = &ratelimit.Block{}
				full := ratelimit.Budget{Name: "full", Limits: ratelimit.MustParse("1 per 365 days burst 10")}
				l := newLimiter(t, ratelimit.Config{
					Store: memory, Rules: []ratelimit.Rule{p}, Budgets: []ratelimit.Budget{full}, Hooks: unreported(),
				})
				other := newLimiter(t, ratelimit.Config{Store: memory, Rules: []ratelimit.Rule{p}, Hooks: unreported()})
				take(t, l, "full", ratelimit.UserKey("a"), 10) // takes the only place
				err := l.Block(t.Context(), "p", inNetwork(66), tc.d)
				require.EqualError(t, err, `ratelimit: rule "p": the store has no room for addr:10.0.0.66: only this process blocks it`)
				assert.Equal(t, []ratelimit.Blocked{{Rule: "p", Key: inNetwork(66), Until: time.Now().Add(tc.d)}}, l.Blocked())
				assert.Equal(t, int64(1), ruleStats(t, l, "p").Blocks)
				h := l.Handler(ok)
				for i := range 10 {
					time.Sleep(20 * time.Second) // so that a store would be asked whether the block holds
					require.Equal(t, []int{429, 200}, codes(h, request("10.0.0.66:1"), request(fmt.Sprintf("10.0.0.%d:1", 1+i))))
					require.Equal(t, []int{200}, codes(other.Handler(ok), request("10.0.0.66:1")))
				}
				if tc.d == year {
					require.NoError(t, l.Unblock(t.Context(), "p", inNetwork(66)))
				} else {
					time.Sleep(time.Hour - 200*time.Second)
				}
				assert.Equal(t, []int{200}, codes(h, request("10.0.0.66:1")))
			})
		})
	}
}

// A block by hand counts if the store knows it, or else this limiter.
func TestOnlyBlocksThatHoldAreCounted(t *testing.T) {
	for _, tc := range []struct {
		name   string
		full   bool // whether the store has no room
		known  int  // how many blocks the limiter has room for
		blocks int64
	}{
		{"both have room", false, 100, 1},
		{"the store has room", false, 0, 1},
		{"the limiter has room", true, 100, 1},
		{"nobody has room", true, 0, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := rule("p", "1000 per second")
			p.Block = &ratelimit.Block{}
			full := ratelimit.Budget{Name: "full", Limits: ratelimit.MustParse("1 per 365 days burst 10")}
			most := 10
			if tc.full {
				most = 1
			}
			l := newLimiter(t, ratelimit.Config{
				Store: ratelimit.NewMemoryStore(ratelimit.MemoryConfig{MaxKeys: most}),
				Rules: []ratelimit.Rule{p}, Budgets: []ratelimit.Budget{full}, Hooks: unreported(),
			})
			ratelimit.SetBlocksKnown(l, tc.known)
			take(t, l, "full", ratelimit.UserKey("a"), 10) // takes the only place
			err := l.Block(t.Context(), "p", inNetwork(66), time.Hour)
			assert.Equal(t, tc.full, err != nil, err)
			want := 200
			if tc.blocks > 0 {
				want = 429
			}
			assert.Equal(t, []int{want}, codes(l.Handler(ok), request("10.0.0.66:1")))
			assert.Equal(t, tc.blocks, ruleStats(t, l, "p").Blocks)
		})
	}
}

// A store that lets keys without room share their blocks blocks none of them.
func TestSharedBlocksBlockNobody(t *testing.T) {
	s := storefake.Func(func(_ context.Context, ops []store.Op) error {
		for i := range ops {
			ops[i].Result = store.Result{Allowed: ops[i].Cost < tooMany, Overflow: true, RetryAfter: time.Hour}
		}
		return nil
	})
	p := rule("p", "10 per hour")
	p.Block = &ratelimit.Block{After: ratelimit.Per(1, time.Hour)}
	l := newLimiter(t, ratelimit.Config{
		Store: s, OnStoreFailure: ratelimit.FailClosed, Rules: []ratelimit.Rule{p}, Hooks: unreported(),
	})
	require.Equal(t, []int{200, 200}, codes(l.Handler(ok), request("10.0.0.1:1"), request("10.0.0.1:1")))
	assert.Empty(t, l.Blocked())
}
