package ratelimit

import (
	"context"
	"errors"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A refusal that a credit overtakes is not remembered, although it is learned after.
func TestRefusalsOvertakenByCredit(t *testing.T) {
	l := refusalLimit(t, "a", 0, "1 per hour")
	for _, kind := range []OpKind{OpCredit, OpReset} {
		f := newFrontStore()
		op := Op{Limit: l, Key: UserKey("a"), Cost: 1}
		f.do(t, op)
		f.decided = func() {
			f.decided = nil
			f.do(t, Op{Kind: kind, Limit: l, Key: UserKey("a"), Cost: 1})
		}
		require.False(t, f.do(t, op)[0].Allowed)
		assert.True(t, f.do(t, op)[0].Allowed)
		require.False(t, f.do(t, op)[0].Allowed)
		require.False(t, f.do(t, op)[0].Allowed)
		assert.Equal(t, 1, f.hits, "the next refusal is remembered again")
	}
}

func TestRefusalsFailures(t *testing.T) {
	l := refusalLimit(t, "a", 0, "1 per hour")
	op := Op{Limit: l, Key: UserKey("a"), Cost: 1}
	refused := op
	refused.Result = Result{RetryAfter: time.Hour, ResetAfter: time.Hour}
	hit := func(m *refusals) bool {
		_, hit := m.answer(100, []Op{op})
		return hit
	}
	learn := func(m *refusals, op Op, failed bool) { m.learn(100, asked{100, m.epoch.Load()}, []Op{op}, failed) }

	t.Run("a refusal that was no answer is not remembered", func(t *testing.T) {
		m := newRefusals(8)
		learn(m, refused, true)
		assert.False(t, hit(m))
	})
	t.Run("a take that failed does not forget, a credit that failed does", func(t *testing.T) {
		m := newRefusals(8)
		learn(m, refused, false)
		learn(m, op, true)
		assert.True(t, hit(m))
		learn(m, Op{Kind: OpCredit, Limit: l, Key: op.Key, Cost: 1}, true)
		assert.False(t, hit(m))
	})
	t.Run("what makes no sense is forgotten and does not panic", func(t *testing.T) {
		for _, res := range []Result{
			{RetryAfter: time.Hour, ResetAfter: time.Hour, Overflow: true},
			{RetryAfter: time.Hour, ResetAfter: 2 * time.Hour},
			{RetryAfter: time.Hour, ResetAfter: time.Minute},
			{RetryAfter: time.Hour, ResetAfter: time.Hour, Remaining: 1},
			{RetryAfter: time.Hour, ResetAfter: time.Hour, Remaining: 2},
			{RetryAfter: time.Hour, ResetAfter: time.Hour, Remaining: -1},
			{RetryAfter: -time.Hour, ResetAfter: time.Hour},
			{RetryAfter: time.Hour, ResetAfter: -time.Hour},
			{RetryAfter: math.MaxInt64, ResetAfter: math.MaxInt64},
			{RetryAfter: time.Hour, ResetAfter: time.Hour, Allowed: true},
			{},
		} {
			m := newRefusals(8)
			learn(m, refused, false)
			require.True(t, hit(m))
			bad := op
			bad.Result = res
			learn(m, bad, false)
			assert.False(t, hit(m) && !res.Allowed, "%+v", res)
		}
	})
	t.Run("waits rounded to milliseconds are made exact where the level tells", func(t *testing.T) {
		m := newRefusals(8)
		l := refusalLimit(t, "b", 0, "3 per second")
		rounded := Op{Limit: l, Key: op.Key, Cost: 1, Result: Result{RetryAfter: 334e6, ResetAfter: 1000e6}}
		learn(m, rounded, false)
		ops := []Op{{Limit: l, Key: op.Key, Cost: 1}}
		_, refused := m.answer(100, ops)
		require.True(t, refused)
		assert.Equal(t, Result{RetryAfter: 333333334, ResetAfter: 1e9}, ops[0].Result)
	})
	t.Run("ops that are not valid are the store's to name", func(t *testing.T) {
		m := newRefusals(8)
		learn(m, refused, false)
		for _, bad := range []Op{{Key: op.Key, Cost: 1}, {Limit: l, Cost: 1}, {Limit: l, Key: op.Key, Cost: -1}, {Kind: 9, Limit: l, Key: op.Key}} {
			since, hit := m.answer(100, []Op{bad})
			assert.False(t, hit)
			m.learn(100, since, []Op{bad}, true)
			m.learn(100, since, []Op{bad}, false)
			bad.Kind = OpCredit
			m.learn(100, since, []Op{bad, bad}, true)
		}
	})
	t.Run("none remembers nothing", func(t *testing.T) {
		m := newRefusals(0)
		require.Nil(t, m)
		_, hit := m.answer(100, []Op{refused})
		assert.False(t, hit)
		m.learn(100, asked{}, []Op{refused}, false)
	})
}

// Through a flood of takes, whoever has called Reset finds the bucket full: nothing that
// was refused before outlives it. Nobody gets more than the resets allow.
func TestRefusalsUnderLoad(t *testing.T) {
	m, s := newRefusals(64), NewMemoryStore(MemoryConfig{})
	l := refusalLimit(t, "a", 0, "1 per hour")
	start := time.Now()
	apply := func(op Op) Result {
		ops := []Op{op}
		since, hit := m.answer(int64(time.Since(start)), ops)
		if hit {
			runtime.Gosched()
			return ops[0].Result
		}
		err := s.Apply(context.Background(), ops)
		runtime.Gosched() // the trip back
		m.learn(int64(time.Since(start)), since, ops, err != nil)
		return ops[0].Result
	}
	key := UserKey("alice")
	var admitted atomic.Int64
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				if apply(Op{Limit: l, Key: key, Cost: 1}).Allowed {
					admitted.Add(1)
				}
			}
		})
	}
	const resets = 500
	var stuck error
	for i := range int64(resets) {
		deadline := time.Now().Add(5 * time.Second)
		for admitted.Load() <= i && stuck == nil {
			if runtime.Gosched(); time.Now().After(deadline) {
				stuck = errors.New("nobody was admitted after a reset")
			}
		}
		apply(Op{Kind: OpReset, Limit: l, Key: key})
	}
	stop()
	wg.Wait()
	require.NoError(t, stuck)
	assert.LessOrEqual(t, admitted.Load(), int64(resets+1))
}

// A refusal is asked about again after a while, by one caller, so that who is pardoned by
// another process is known soon. If the store does not answer, it stands.
func TestRefusalsAreAskedAboutAgain(t *testing.T) {
	f := newFrontStore()
	op := Op{Limit: refusalLimit(t, "a", 0, "1 per day"), Key: UserKey("a"), Cost: 1}
	other := Op{Limit: op.Limit, Key: UserKey("b"), Cost: 1}
	for range 2 {
		f.do(t, op)
		f.do(t, other)
	}
	trips := func() int {
		before := f.trips
		f.do(t, op)
		return f.trips - before
	}
	begun := f.time
	for range 10 {
		f.time += 999 * time.Millisecond
		require.Zero(t, trips())
	}
	f.time = begun + 10*time.Second
	ops := []Op{op}
	since, hit := f.m.answer(int64(f.time), ops)
	require.False(t, hit)
	require.Zero(t, trips(), "while another caller asks")
	f.m.learn(int64(f.time), since, ops, true)
	require.Zero(t, trips(), "after the store did not answer")
	f.time += 10*time.Second - 1
	require.Zero(t, trips())
	f.time++
	require.Equal(t, 1, trips())
	require.Zero(t, trips())

	require.NoError(t, f.MemoryStore.Apply(context.Background(), []Op{{Kind: OpReset, Limit: op.Limit, Key: op.Key}}))
	f.time += 10 * time.Second
	require.True(t, f.do(t, op)[0].Allowed, "pardoned elsewhere")
	require.NoError(t, f.MemoryStore.Apply(context.Background(), []Op{{Kind: OpReset, Limit: op.Limit, Key: op.Key}}))
	require.True(t, f.do(t, op)[0].Allowed, "what was known is forgotten")
	require.False(t, f.do(t, other)[0].Allowed)
}
