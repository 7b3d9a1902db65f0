package postgresstore_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/postgresstore"
	"github.com/ratelimit-go/ratelimit/postgresstore/internal/pgtest"
	"github.com/ratelimit-go/ratelimit/store"
)

// fleet returns a limiter for each version of a rule. They share s. A limiter remembers denials, so
// the limiters are new for each instant.
func fleet(t *testing.T, s store.Store, versions ...string) (all []*ratelimit.Limiter) {
	for _, text := range versions {
		l, err := ratelimit.New(ratelimit.Config{
			Store: s, OnStoreFailure: ratelimit.FailClosed, StoreTimeout: 10 * time.Second,
			Rules: []ratelimit.Rule{{Name: "r", Limits: ratelimit.MustParse(text), Key: ratelimit.ByClientIP()}},
		})
		require.NoError(t, err)
		all = append(all, l)
	}
	return all
}

// greedy returns how many requests limiters allow in turns of some requests, until all deny.
func greedy(t *testing.T, limiters []*ratelimit.Limiter, turn int) (allowed int) {
	for before := -1; allowed > before; {
		before = allowed
		for _, l := range limiters {
			for range turn {
				d, err := l.Take(t.Context(), "r", ratelimit.UserKey("a"), 1)
				require.NoError(t, err)
				require.NoError(t, d.StoreErr)
				if !d.Allowed {
					break
				}
				allowed++
			}
		}
	}
	return allowed
}

// Two versions of a rule allow no more at once than the larger of them alone, in any turns.
func TestTwoVersionsOnOneServer(t *testing.T) {
	t.Parallel()
	server := pgtest.Database(t)
	s := newStore(t, server, postgresstore.Config{})
	c := newClock(t, server, s)
	for _, row := range []struct {
		a, b  string
		most  int
		later [2]int // after 10 seconds each
	}{
		{"5 per second; 100 per hour", "50 per 10 seconds; 100 per hour", 50, [2]int{50, 0}},
		{"100 per minute", "300 per minute; 3000 per hour", 300, [2]int{50, 50}},
	} {
		for turn, versions := range map[int][]string{1: {row.a, row.b}, 3: {row.b, row.a}, 500: {row.a, row.b}, 501: {row.b, row.a}} {
			name := fmt.Sprintf("%q in turns of %d", versions, turn)
			server.Exec(empty)
			assert.Equal(t, row.most, greedy(t, fleet(t, s, versions...), turn), name)
			for _, most := range row.later {
				c.advance(10 * time.Second)
				assert.LessOrEqual(t, greedy(t, fleet(t, s, versions...), turn), most, name)
			}
		}
	}
}

// numbers returns the numbers of the only row.
func numbers(t *testing.T, c *clock) (s []int64) {
	t.Helper()
	require.NoError(t, c.conn.QueryRow(context.Background(), "SELECT s FROM ratelimit.buckets").Scan(&s))
	return s
}

// A limit that was taken out of a rule stays in a row until the whole row is full.
func TestRowForgetsWhatNoVersionUses(t *testing.T) {
	t.Parallel()
	server := pgtest.Database(t)
	s := newStore(t, server, postgresstore.Config{})
	c := newClock(t, server, s)
	hour, second := limit(t, "r", 0, "100 per hour").Versioned(), limit(t, "r", 3, "5 per second").Versioned()
	old := append(take(second, "a", 1), take(hour, "a", 1)...)
	require.NoError(t, s.Apply(t.Context(), old))
	want := func(buckets int) {
		t.Helper()
		require.NoError(t, s.Apply(t.Context(), take(hour, "a", 1)))
		assert.Len(t, numbers(t, c), 5*buckets)
	}
	want(2)
	c.advance(10 * time.Second) // one is full
	want(2)
	c.advance(time.Hour)
	want(1)
	require.NoError(t, s.Apply(t.Context(), old))
	assert.Len(t, numbers(t, c), 10)
}

// Takes are counted, with anything else in their row. The first number of a bucket may lack the
// burst.
func TestJunkInARow(t *testing.T) {
	t.Parallel()
	server := pgtest.Database(t)
	s := newStore(t, server, postgresstore.Config{})
	c := newClock(t, server, s)
	slow, fast := limit(t, "r", 0, "10 per hour").Versioned(), limit(t, "r", 3, "20 per minute").Versioned()
	for name, junk := range map[string]string{
		"an unknown place":     "s || '{200,1,0,1,1}'",
		"a bucket of no pace":  "s || '{7,6000000000000000000,0,0,0}'",
		"the same place again": "s || s",
		"no burst":             "array_prepend(s[1] & 255, s[2:])",
		"a full bucket":        "'{1,0,0,1,1}'",
	} {
		server.Exec(empty)
		require.NoError(t, s.Apply(t.Context(), take(slow, "a", 1)))
		server.Exec("UPDATE ratelimit.buckets SET s = " + junk)
		for _, version := range [][]*store.Limit{{slow, fast}, {slow}, {fast, slow}} {
			var ops []store.Op
			for _, l := range version {
				ops = append(ops, take(l, "a", 3)...)
			}
			require.NoError(t, s.Apply(t.Context(), ops), name)
			require.True(t, ops[0].Result.Allowed, name)
		}
		ops := append(take(slow, "a", 2), take(fast, "a", 2)...)
		require.NoError(t, s.Apply(t.Context(), ops), name)
		assert.False(t, ops[0].Result.Allowed, name)
		c.advance(time.Second)
	}
}
