package rank

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/store"
)

// In every pair of this list, the earlier answer matters more, in both orders of the ops.
func TestStrictestAnswer(t *testing.T) {
	newLimit := func(n int64) *store.Limit {
		l, err := store.NewLimit("r", 0, n, time.Second, n)
		require.NoError(t, err)
		return l
	}
	limit, large := newLimit(10), newLimit(1000)
	ops := []store.Op{
		{Limit: limit, Result: store.Result{ExceedsBurst: true, Remaining: 9}},
		{Limit: limit, Result: store.Result{RetryAfter: time.Hour}},
		{Limit: limit, Result: store.Result{RetryAfter: time.Second}},
		{Limit: limit, Result: store.Result{RetryAfter: -time.Second}}, // which no store should say
		{Limit: large, Result: store.Result{Allowed: true, Remaining: -1}},
		{Limit: limit, Result: store.Result{Allowed: true, Remaining: 1}},
		{Limit: large, Result: store.Result{Allowed: true, Remaining: 200}},
		{Limit: limit, Result: store.Result{Allowed: true, Remaining: 10}},
	}
	for i := range ops {
		for j := range ops {
			pair := []store.Op{ops[i], ops[j]}
			assert.Equal(t, ops[min(i, j)], pair[Strictest(pair)], "%d and %d", i, j)
			assert.Equal(t, i < j, Stricter(&ops[i], &ops[j]), "%d and %d", i, j)
		}
	}
	assert.Zero(t, Strictest([]store.Op{ops[2], ops[2]}), "the first of several alike")
}
