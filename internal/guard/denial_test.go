package guard

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/store"
)

// An answer that no bucket can have given is forgotten, and does not panic.
func TestImpossibleAnswersAreForgotten(t *testing.T) {
	op := take(newLimit(t, "a", 0, 1, time.Hour, 0), user("a"), 1)
	learn := func(m *denials, res store.Result) {
		told := op
		told.Result = res
		m.learn(100, start{100, m.epoch.Load()}, []store.Op{told}, false)
	}
	for name, res := range map[string]store.Result{
		"overflow":              {RetryAfter: time.Hour, ResetAfter: time.Hour, Overflow: true},
		"emptier than empty":    {RetryAfter: time.Hour, ResetAfter: 2 * time.Hour},
		"full before the wait":  {RetryAfter: time.Hour, ResetAfter: time.Minute},
		"a token and a wait":    {RetryAfter: time.Hour, ResetAfter: time.Hour, Remaining: 1},
		"more than the burst":   {RetryAfter: time.Hour, ResetAfter: time.Hour, Remaining: 2},
		"negative tokens":       {RetryAfter: time.Hour, ResetAfter: time.Hour, Remaining: -1},
		"a negative wait":       {RetryAfter: -time.Hour, ResetAfter: time.Hour},
		"a negative reset":      {RetryAfter: time.Hour, ResetAfter: -time.Hour},
		"the longest times":     {RetryAfter: math.MaxInt64, ResetAfter: math.MaxInt64},
		"allowed with a wait":   {RetryAfter: time.Hour, ResetAfter: time.Hour, Allowed: true},
		"denied without a wait": {},
	} {
		t.Run(name, func(t *testing.T) {
			m := newDenials(8)
			hit := func() bool {
				_, hit := m.answer(100, []store.Op{op})
				return hit
			}
			learn(m, store.Result{RetryAfter: time.Hour, ResetAfter: time.Hour})
			require.True(t, hit())
			learn(m, res)
			assert.False(t, hit() && !res.Allowed, "%+v", res)
		})
	}
}

// A store may round its waits to milliseconds. The other numbers then tell the exact wait.
func TestRoundedWaitsAreMadeExact(t *testing.T) {
	m := newDenials(8)
	op := take(newLimit(t, "b", 0, 3, time.Second, 0), user("a"), 1)
	rounded := op
	rounded.Result = store.Result{RetryAfter: 334e6, ResetAfter: 1000e6}
	m.learn(100, start{at: 100}, []store.Op{rounded}, false)
	ops := []store.Op{op}
	_, denied := m.answer(100, ops)
	require.True(t, denied)
	assert.Equal(t, store.Result{RetryAfter: 333333334, ResetAfter: 1e9}, ops[0].Result)
}

// A wait that is too long by more than rounding does not fit the level.
func TestWaitThatDoesNotFitTheLevelIsForgotten(t *testing.T) {
	l := newLimit(t, "a", 0, 2, time.Second, 0)
	op := take(l, user("a"), 1)
	for wait, want := range map[time.Duration]bool{
		500*ms + storeRounding - 1: true,
		500*ms + storeRounding:     false,
	} {
		m := newDenials(8)
		told := op
		told.Result = store.Result{RetryAfter: wait, ResetAfter: time.Second}
		m.learn(100, start{at: 100}, []store.Op{told}, false)
		_, denied := m.answer(100, []store.Op{op})
		assert.Equal(t, want, denied, "%v", wait)
	}
}
