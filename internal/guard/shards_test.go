package guard

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/store"
)

// A key that fails by itself takes no other key out of use, however often it fails: not while
// the store is up, not as its probe, and not while it recovers.
func TestFailureOfOneKeyIsNoFailureOfTheStore(t *testing.T) {
	for _, reason := range []store.Reason{store.ReasonKey, store.ReasonInvalid} {
		t.Run(string(reason), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &flaky{}
				g := New(s, Config{})
				l := newLimit(t, "r", 0, 5, time.Hour, 5)
				ask := func() *store.Error { return g.Apply(t.Context(), []store.Op{take(l, user("a"), 1)}) }
				bad := func() {
					s.fail = told(string(reason))
					require.Equal(t, reason, ask().Reason)
					require.Equal(t, reason, g.Lease(t.Context(), store.Acquire, []store.Lease{{Key: user("a")}}).Reason)
					s.fail = nil
				}
				for range 100 {
					bad()
				}
				require.Nil(t, ask())
				s.fail = told("connect")
				for range openAfter {
					require.NotNil(t, ask())
				}
				require.Equal(t, store.Down, g.Stats().State)
				time.Sleep(2 * maxDwell)
				s.fail = told(string(reason))
				require.Equal(t, reason, ask().Reason, "the probe")
				s.fail = nil
				require.Nil(t, ask(), "another probe, at once")
				require.Equal(t, store.Recovering, g.Stats().State)
				s.fail = told(string(reason))
				for range 100 {
					time.Sleep(ms)
					_ = ask()
				}
				assert.Equal(t, store.Recovering, g.Stats().State)
			})
		})
	}
}

// flaky is a store that fails if it is told to.
type flaky struct{ fail error }

func (s *flaky) Apply(ctx context.Context, ops []store.Op) error {
	if s.fail != nil {
		return s.fail
	}
	return allowing(ctx, ops)
}

func (s *flaky) Lease(context.Context, store.LeaseKind, []store.Lease) error { return s.fail }

// sharded is a store on several servers. A key is on the server of its name.
type sharded struct {
	down   map[string]bool
	silent bool // does not tell which server failed
	calls  int
}

func (s *sharded) Shard(k store.Key) string { return k.String() }

func (s *sharded) Apply(ctx context.Context, ops []store.Op) error {
	s.calls++
	for i := range ops {
		if name := s.Shard(ops[i].Key); s.down[name] {
			if s.silent {
				return errors.New("away")
			}
			return away(name)
		}
	}
	return allowing(ctx, ops)
}

// away is the error of a server.
type away string

func (e away) Error() string       { return string(e) + " is away" }
func (e away) FailedShard() string { return string(e) }

func TestOneServerAwayLeavesTheOthersInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := user("a").String(), user("b").String()
		s := &sharded{down: map[string]bool{a: true}}
		var states []store.State
		g := New(s, Config{OnState: func(_ context.Context, state store.State) { states = append(states, state) }})
		l := newLimit(t, "r", 0, 5, time.Hour, 5)
		ask := func(users ...string) *store.Error {
			var ops []store.Op
			for _, u := range users {
				ops = append(ops, take(l, user(u), 1))
			}
			return g.Apply(t.Context(), ops)
		}
		for range 100 {
			require.NotNil(t, ask("a"))
			require.Nil(t, ask("b"))
			require.NotNil(t, ask("b", "a"))
		}
		assert.Equal(t, 100+openAfter, s.calls, "the server that is away is not called")
		assert.Equal(t, []store.State{store.Down}, states)
		assert.Equal(t, store.Down, g.Stats().State)

		// The second server fails too: the state of the store is the worst.
		s.down[b] = true
		for range openAfter {
			require.NotNil(t, ask("b"))
		}
		s.down[a], s.down[b] = false, false
		for range 3000 {
			time.Sleep(ms)
			_, _, _ = ask("a"), ask("b"), ask("a", "b")
		}
		require.Nil(t, ask("a", "b"))
		assert.Equal(t, []store.State{store.Down, store.Recovering, store.Up}, states)
		assert.Equal(t, store.Up, g.Stats().State)
	})
}

// A batch whose failure names no server counts against all of its servers.
func TestFailureThatNamesNoServer(t *testing.T) {
	g := New(&sharded{down: map[string]bool{user("a").String(): true}, silent: true}, Config{})
	l := newLimit(t, "r", 0, 5, time.Hour, 5)
	for range openAfter {
		require.NotNil(t, g.Apply(t.Context(), []store.Op{take(l, user("a"), 1), take(l, user("b"), 1)}))
	}
	err := g.Apply(t.Context(), []store.Op{take(l, user("b"), 1)})
	require.NotNil(t, err)
	assert.Equal(t, store.ReasonDown, err.Reason)
}

// A server that is gone for good is forgotten, after more than four seconds.
func TestServerThatIsGoneIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sharded{down: map[string]bool{user("a").String(): true}}
		var states []store.State
		g := New(s, Config{OnState: func(_ context.Context, state store.State) { states = append(states, state) }})
		l := newLimit(t, "r", 0, 5, time.Hour, 5)
		for range openAfter {
			require.NotNil(t, g.Apply(t.Context(), []store.Op{take(l, user("a"), 1)}))
		}
		time.Sleep(4 * time.Second)
		require.Nil(t, g.Apply(t.Context(), []store.Op{take(l, user("b"), 1)}))
		require.Equal(t, store.Down, g.Stats().State)
		time.Sleep(shardForgotten - 4*time.Second + ms)
		require.Nil(t, g.Apply(t.Context(), []store.Op{take(l, user("b"), 1)}))
		assert.Equal(t, []store.State{store.Down, store.Up}, states)
		assert.Equal(t, store.Up, g.Stats().State)
	})
}

func TestNumberOfBreakersIsBounded(t *testing.T) {
	s := shards{of: func(k store.Key) string { return k.String() }}
	for i := range 2 * maxShards {
		_ = s.get(0, fmt.Sprint(i))
	}
	assert.Len(t, s.named, maxShards)
	assert.Same(t, &s.whole, s.get(shardForgotten, "one more"))
}

// Servers that are gone leave their places to others, so each server keeps a breaker of its own.
func TestServersThatAreGoneLeaveTheirPlaces(t *testing.T) {
	s := shards{of: func(k store.Key) string { return k.String() }}
	for i := range maxShards {
		_ = s.get(0, fmt.Sprint(i))
	}
	used := s.get(0, "7")
	_, _ = s.enter(used, shardForgotten, false)
	fresh := s.get(shardForgotten+1, "one more")
	assert.Equal(t, "one more", fresh.name)
	assert.Same(t, used, s.get(shardForgotten+1, "7"))
	assert.Len(t, s.named, 2)
}
