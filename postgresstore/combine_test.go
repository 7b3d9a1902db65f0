package postgresstore

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/postgresstore/internal/pgtest"
	"github.com/ratelimit-go/ratelimit/store"
)

func newLimit(t *testing.T, rule string, index int, count int64, period time.Duration) *store.Limit {
	t.Helper()
	l, err := store.NewLimit(rule, index, count, period, 0)
	require.NoError(t, err)
	return l
}

// together decides batches by one statement.
func together(t *testing.T, s *Store, batches ...[]store.Op) {
	t.Helper()
	var calls []*call
	for _, ops := range batches {
		c := &call{ctx: t.Context()}
		c.names, c.words = s.batch(ops)
		calls = append(calls, c)
	}
	require.NoError(t, s.combiner.decide(calls[0], calls))
	for i, c := range calls {
		c.reply.report(batches[i])
	}
}

// Batches of one statement are decided one after another, each all or nothing.
func TestBatchesOfOneStatement(t *testing.T) {
	t.Parallel()
	server := pgtest.Database(t)
	s, err := New(pgtest.Pool(t, server.URL()), Config{})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	require.NoError(t, s.Migrate(t.Context()))
	hour, day := newLimit(t, "r", 0, 3, time.Hour), newLimit(t, "r", 1, 5, 24*time.Hour)
	one := func(user string, cost int64) []store.Op {
		return []store.Op{{Limit: hour, Key: ratelimit.UserKey(user), Cost: cost}}
	}
	both := func(user string, cost int64) []store.Op {
		return append(one(user, cost), store.Op{Limit: day, Key: ratelimit.UserKey(user), Cost: cost})
	}
	batches := [][]store.Op{both("a", 2), both("a", 2), one("a", 1), both("b", 3), one("a", 1), both("b", 1), both("c", 1)}
	together(t, s, batches...)
	var allowed []bool
	var left []int64
	for _, ops := range batches {
		for _, op := range ops {
			allowed, left = append(allowed, op.Result.Allowed), append(left, op.Result.Remaining)
		}
	}
	assert.Equal(t, []bool{true, true, false, true, true, true, true, false, false, true, true, true}, allowed)
	assert.Equal(t, []int64{1, 3, 1, 3, 0, 0, 2, 0, 0, 2, 2, 4}, left)

	// Another limit of the same rule joins a row that is there.
	month := []store.Op{{Limit: newLimit(t, "r", 7, 9, 700*time.Hour), Key: ratelimit.UserKey("b"), Cost: 2}}
	together(t, s, month, both("c", 1), month)
	assert.EqualValues(t, 5, month[0].Result.Remaining)
	assert.EqualValues(t, 3, server.Int("SELECT count(*) FROM ratelimit.buckets"))

	// A debt at another pace than its limit is found in its own batch.
	slow := []store.Op{{Kind: store.Peek, Limit: newLimit(t, "r", 0, 3, 30*time.Hour), Key: ratelimit.UserKey("b"), Cost: 1}}
	together(t, s, both("c", 1), slow, one("c", 0))
	assert.False(t, slow[0].Result.Allowed)
	assert.InDelta(t, 20*time.Minute, slow[0].Result.RetryAfter, float64(10*time.Second), "it fills at its old pace")
}

// Versions of a rule count each other in one statement too.
func TestVersionsInOneStatement(t *testing.T) {
	t.Parallel()
	server := pgtest.Database(t)
	s, err := New(pgtest.Pool(t, server.URL()), Config{})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	require.NoError(t, s.Migrate(t.Context()))
	version := func(index int, burst, cost int64) (ops []store.Op) {
		for _, l := range []*store.Limit{
			newLimit(t, "r", index, burst, time.Duration(burst)*time.Hour), newLimit(t, "r", 0, 100, 1000*time.Hour),
		} {
			ops = append(ops, store.Op{Limit: l.Versioned(), Key: ratelimit.UserKey("a"), Cost: cost})
		}
		return ops
	}
	few := func(cost int64) []store.Op { return version(3, 5, cost) }
	many := func(cost int64) []store.Op { return version(5, 50, cost) }
	batches := [][]store.Op{few(4), many(47), few(2), many(46), many(1), few(1)}
	together(t, s, batches...)
	var allowed []bool
	for _, ops := range batches {
		allowed = append(allowed, ops[0].Result.Allowed)
	}
	assert.Equal(t, []bool{true, false, false, true, false, false}, allowed)
}

// busy is a server that takes some time, answers each op with the number that it asked for, and
// sometimes fails.
func busy(ctx context.Context, stmt statement) ([]int64, error) {
	select {
	case <-time.After(time.Duration(rand.Int64N(int64(2 * time.Millisecond)))):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if rand.IntN(20) == 0 {
		return nil, errors.New("broken")
	}
	var all []int64
	for i := 0; i < len(stmt.words); i += opWords {
		all = append(all, stmt.words[i+8], 0, 0)
	}
	return append(all, 0, 0), nil
}

// Under random load no caller stays beyond its deadline or receives the answer to another call. In
// the end all lanes are free.
func TestCombinerUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Store{combiner: combiner{run: busy, most: 2}}
		l := newLimit(t, "r", 0, 1000, time.Hour)
		answered := 0
		var mu sync.Mutex
		var callers sync.WaitGroup
		for range 64 {
			callers.Go(func() {
				for range 100 {
					d := time.Duration(1 + rand.Int64N(int64(8*time.Millisecond)))
					ctx, cancel := context.WithTimeout(t.Context(), d)
					n, begin := rand.Int64N(1000), time.Now()
					c := &call{ctx: ctx}
					c.names, c.words = s.batch([]store.Op{
						{Limit: l, Key: ratelimit.UserKey("a"), Cost: n}, {Limit: l, Key: ratelimit.UserKey("b"), Cost: n},
					})
					if s.combiner.do(c) == nil {
						assert.Equal(t, []int64{n, 0, 0, n, 0, 0}, c.reply.words)
						mu.Lock()
						answered++
						mu.Unlock()
					}
					assert.LessOrEqual(t, time.Since(begin), d)
					cancel()
				}
			})
		}
		callers.Wait()
		assert.Greater(t, answered, 1000)
		assert.Zero(t, s.combiner.lanes)
		assert.Empty(t, s.combiner.queue)
	})
}

// One failure that many callers share counts once.
func TestSharedFailureCountsOnce(t *testing.T) {
	l := newLimit(t, "r", 0, 1000, time.Hour)
	s := &Store{}
	s.combiner.run = func(context.Context, statement) ([]int64, error) { return nil, errors.New("broken") }
	lead := &call{ctx: t.Context()}
	for range 3 {
		c := &call{ctx: t.Context(), ready: make(chan struct{}, 1)}
		c.names, c.words = s.batch([]store.Op{{Limit: l, Key: ratelimit.UserKey("a"), Cost: 1}})
		lead.lead = append(lead.lead, c)
	}
	lead.names, lead.words = lead.lead[0].names, lead.lead[0].words
	lead.lead[0] = lead
	s.combiner.send(lead)
	told := []bool{}
	for _, c := range lead.lead {
		var e *Error
		require.ErrorAs(t, c.err, &e)
		assert.Equal(t, store.ReasonConnect, e.Reason)
		told = append(told, e.Repeated())
	}
	assert.Equal(t, []bool{false, true, true}, told)
}
