package redisstore

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/redisstore/internal/redistest"
	"github.com/ratelimit-go/ratelimit/store"
)

// together decides batches by one script.
func together(t *testing.T, s *Store, batches ...[]store.Op) []error {
	t.Helper()
	var calls []*call
	var all [][]terms
	for _, ops := range batches {
		var ts []terms
		for i := range ops {
			ts = append(ts, termsOf(ops[i].Limit))
		}
		all = append(all, ts)
		calls = append(calls, s.call(t.Context(), ops, ts))
	}
	require.NoError(t, s.combiner.run(calls[0], calls))
	var errs []error
	for i, c := range calls {
		errs = append(errs, c.err)
		for j := range batches[i] {
			batches[i][j].Result = all[i][j].result(&batches[i][j], c.reply[replySize*j:])
		}
	}
	return errs
}

func newLimit(t *testing.T, rule string, index int, count int64, period time.Duration) *store.Limit {
	t.Helper()
	l, err := store.NewLimit(rule, index, count, period, 0)
	require.NoError(t, err)
	return l
}

// Batches of one script are decided one after another, each all or nothing.
func TestBatchesOfOneScript(t *testing.T) {
	server := redistest.Start(t)
	s, err := New(server.Client(), Config{})
	require.NoError(t, err)
	hour, day := newLimit(t, "r", 0, 3, time.Hour), newLimit(t, "r", 1, 5, 24*time.Hour)
	one := func(user string, cost int64) []store.Op {
		return []store.Op{{Limit: hour, Key: ratelimit.UserKey(user), Cost: cost}}
	}
	both := func(user string, cost int64) []store.Op {
		return append(one(user, cost), store.Op{Limit: day, Key: ratelimit.UserKey(user), Cost: cost})
	}
	batches := [][]store.Op{both("a", 2), both("a", 2), one("a", 1), both("b", 3), one("a", 1), both("b", 1), both("c", 1)}
	for _, err := range together(t, s, batches...) {
		require.NoError(t, err)
	}
	var allowed []bool
	var left []int64
	for _, ops := range batches {
		for _, op := range ops {
			allowed, left = append(allowed, op.Result.Allowed), append(left, op.Result.Remaining)
		}
	}
	assert.Equal(t, []bool{true, true, false, true, true, true, true, false, false, true, true, true}, allowed)
	assert.Equal(t, []int64{1, 3, 1, 3, 0, 0, 2, 0, 0, 2, 2, 4}, left)
	assert.Equal(t, 1, server.Calls()["eval"]+server.Calls()["evalsha"]-1, "the server did not know the first")
}

// A batch that cannot be decided fails alone.
func TestOneBatchOfAScriptFails(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	s, err := New(client, Config{})
	require.NoError(t, err)
	l, other := newLimit(t, "r", 0, 3, time.Hour), newLimit(t, "s", 1, 3, time.Hour)
	op := func(l *store.Limit, user string) store.Op {
		return store.Op{Limit: l, Key: ratelimit.UserKey(user), Cost: 1}
	}
	bad := s.naming.buckets(s.naming.tag(ratelimit.UserKey("bad")), "s")
	require.NoError(t, client.LPush(t.Context(), bad, "a list of another program").Err())
	batches := [][]store.Op{
		{op(l, "a")},
		{op(l, "bad"), op(other, "bad")},
		{op(other, "bad")},
		{op(l, "b"), op(other, "b")},
		{op(l, "bad")},
	}
	errs := together(t, s, batches...)
	for i, err := range errs {
		if i != 1 && i != 2 {
			require.NoError(t, err)
			continue
		}
		var e *Error
		require.ErrorAs(t, err, &e)
		assert.Equal(t, store.ReasonKey, e.Reason)
		assert.ErrorContains(t, err, "WRONGTYPE")
	}
	for _, i := range []int{0, 3, 4} {
		for _, op := range batches[i] {
			assert.True(t, op.Result.Allowed)
			assert.Equal(t, int64(2), op.Result.Remaining, "batch %d: nothing else is charged", i)
		}
	}
}
