package redisstore

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/redisstore/internal/redistest"
)

// together has batches decided by one script.
func together(t *testing.T, s *Store, batches ...[]ratelimit.Op) []error {
	t.Helper()
	var calls []*call
	var all [][]terms
	for _, ops := range batches {
		var ts []terms
		for i := range ops {
			ts = append(ts, termsOf(ops[i].Limit.Limit()))
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

func named(t *testing.T, rule string, index int, text string) *ratelimit.NamedLimit {
	t.Helper()
	l, err := ratelimit.NameLimit(rule, index, ratelimit.MustParse(text)[0])
	require.NoError(t, err)
	return l
}

// Batches of one script are one after another, and each is all or nothing.
func TestTogether(t *testing.T) {
	server := redistest.Start(t)
	s, err := New(server.Client(), Config{})
	require.NoError(t, err)
	hour, day := named(t, "r", 0, "3 per hour"), named(t, "r", 1, "5 per day")
	one := func(user string, cost int64) []ratelimit.Op {
		return []ratelimit.Op{{Limit: hour, Key: ratelimit.UserKey(user), Cost: cost}}
	}
	both := func(user string, cost int64) []ratelimit.Op {
		return append(one(user, cost), ratelimit.Op{Limit: day, Key: ratelimit.UserKey(user), Cost: cost})
	}
	batches := [][]ratelimit.Op{both("a", 2), both("a", 2), one("a", 1), both("b", 3), one("a", 1), both("b", 1), both("c", 1)}
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
	assert.Equal(t, 1, server.Calls()["eval"]+server.Calls()["evalsha"]-1, "the first was not known")
}

// A batch that cannot be decided fails alone.
func TestOneBatchFails(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	s, err := New(client, Config{})
	require.NoError(t, err)
	l, other := named(t, "r", 0, "3 per hour"), named(t, "s", 1, "3 per hour")
	op := func(l *ratelimit.NamedLimit, user string) ratelimit.Op {
		return ratelimit.Op{Limit: l, Key: ratelimit.UserKey(user), Cost: 1}
	}
	bad := s.naming.name(s.naming.tag(ratelimit.UserKey("bad")), "s")
	require.NoError(t, client.LPush(t.Context(), bad, "somebody else's").Err())
	batches := [][]ratelimit.Op{
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
		assert.Equal(t, ratelimit.FailureScript, e.Reason)
		assert.ErrorContains(t, err, "WRONGTYPE")
	}
	for _, i := range []int{0, 3, 4} {
		for _, op := range batches[i] {
			assert.True(t, op.Result.Allowed)
			assert.Equal(t, int64(2), op.Result.Remaining, "batch %d: nothing else is charged", i)
		}
	}
}
