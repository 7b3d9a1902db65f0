package ratelimit

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// The answer that matters most comes first in this list, whichever order the ops are in.
func TestStrictestAnswer(t *testing.T) {
	limit := &NamedLimit{limit: Limit{Count: 10, Burst: 10}}
	large := &NamedLimit{limit: Limit{Count: 1000, Burst: 1000}}
	ops := []Op{
		{Limit: limit, Result: Result{Never: true, Remaining: 9}},
		{Limit: limit, Result: Result{RetryAfter: time.Hour}},
		{Limit: limit, Result: Result{RetryAfter: time.Second}},
		{Limit: limit, Result: Result{RetryAfter: -time.Second}}, // which no store should say
		{Limit: large, Result: Result{Allowed: true, Remaining: -1}},
		{Limit: limit, Result: Result{Allowed: true, Remaining: 1}},
		{Limit: large, Result: Result{Allowed: true, Remaining: 200}},
		{Limit: limit, Result: Result{Allowed: true, Remaining: 10}},
	}
	for i := range ops {
		for j := range ops {
			pair := []Op{ops[i], ops[j]}
			assert.Equal(t, ops[min(i, j)], *strictest(pair), "%d and %d", i, j)
			assert.Equal(t, i < j, stricter(&ops[i], &ops[j]), "%d and %d", i, j)
		}
	}
}
