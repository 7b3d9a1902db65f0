package store_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/internal/key"
	"github.com/ratelimit-go/ratelimit/store"
)

func TestCheckOps(t *testing.T) {
	l := limit(t, 10, time.Minute, 0)
	good := store.Op{Limit: l, Key: alice, Cost: 1}
	ofNoKind := key.Text(0, "alice")
	for _, row := range []struct {
		name string
		op   store.Op
		want string // "" if op is valid
	}{
		{"a take", good, ""},
		{"a take of nothing", store.Op{Limit: l, Key: alice}, ""},
		{"a take of everything", store.Op{Limit: l, Key: alice, Cost: math.MaxInt64}, ""},
		{"a peek", store.Op{Kind: store.Peek, Limit: l, Key: alice}, ""},
		{"the last kind", store.Op{Kind: store.TakeUpTo, Limit: l, Key: alice}, ""},
		{"the key of requests without a key", store.Op{Limit: l, Key: key.Shared()}, ""},
		{"the zero Op", store.Op{}, "ops[1] has no Limit"},
		{"no limit", store.Op{Key: alice, Cost: 1}, "ops[1] has no Limit"},
		{"no key", store.Op{Limit: l, Cost: 1}, `ops[1] (rule "r") has the zero Key`},
		{"a negative cost", store.Op{Limit: l, Key: alice, Cost: -1}, `ops[1] (rule "r") has the negative cost -1`},
		{"a key of no kind", store.Op{Kind: store.TakeUpTo, Limit: l, Key: ofNoKind}, `ops[1] (rule "r") has a Key of no kind`},
		{"an unknown kind", store.Op{Kind: 5, Limit: l, Key: alice}, `ops[1] (rule "r") has the unknown kind 5`},
		{"the greatest kind", store.Op{Kind: 255, Limit: l, Key: alice}, `ops[1] (rule "r") has the unknown kind 255`},
	} {
		t.Run(row.name, func(t *testing.T) {
			assert.Equal(t, row.want == "", row.op.Valid())
			err := store.CheckOps([]store.Op{good, row.op, {}})
			if row.want == "" {
				row.want = "ops[2] has no Limit"
			}
			require.ErrorIs(t, err, store.ErrInvalidOp)
			assert.EqualError(t, err, "store: invalid op: "+row.want)
		})
	}
	assert.NoError(t, store.CheckOps(nil))
	assert.NoError(t, store.CheckOps([]store.Op{good, good}))
}
