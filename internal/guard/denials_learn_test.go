package guard

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/store"
)

// A denial that a refund overtakes is not remembered, although its answer arrives later.
func TestDenialsOvertakenByRefund(t *testing.T) {
	l := newLimit(t, "a", 0, 1, time.Hour, 0)
	for _, kind := range []store.Kind{store.Refund, store.Reset} {
		f := newFront()
		op := take(l, user("a"), 1)
		f.do(t, op)
		f.decided = func() {
			f.decided = nil
			f.do(t, store.Op{Kind: kind, Limit: l, Key: user("a"), Cost: 1})
		}
		require.False(t, f.do(t, op)[0].Allowed)
		assert.True(t, f.do(t, op)[0].Allowed)
		require.False(t, f.do(t, op)[0].Allowed)
		require.False(t, f.do(t, op)[0].Allowed)
		assert.Equal(t, 1, f.hits, "the next denial is remembered again")
	}
}

func TestDenialsAndFailures(t *testing.T) {
	l := newLimit(t, "a", 0, 1, time.Hour, 0)
	op := take(l, user("a"), 1)
	denied := op
	denied.Result = store.Result{RetryAfter: time.Hour, ResetAfter: time.Hour}
	hit := func(m *denials) bool {
		_, hit := m.answer(100, []store.Op{op})
		return hit
	}
	learn := func(m *denials, op store.Op, failed bool) {
		m.learn(100, start{100, m.epoch.Load()}, []store.Op{op}, failed)
	}

	t.Run("a failure is no denial", func(t *testing.T) {
		m := newDenials(8)
		learn(m, denied, true)
		assert.False(t, hit(m))
	})
	t.Run("a take that failed does not forget, a refund that failed does", func(t *testing.T) {
		m := newDenials(8)
		learn(m, denied, false)
		learn(m, op, true)
		assert.True(t, hit(m))
		learn(m, store.Op{Kind: store.Refund, Limit: l, Key: op.Key, Cost: 1}, true)
		assert.False(t, hit(m))
	})
	t.Run("the store names invalid ops", func(t *testing.T) {
		m := newDenials(8)
		learn(m, denied, false)
		for _, bad := range []store.Op{
			{Key: op.Key, Cost: 1},
			{Limit: l, Cost: 1},
			{Limit: l, Key: op.Key, Cost: -1},
			{Kind: 9, Limit: l, Key: op.Key},
		} {
			began, hit := m.answer(100, []store.Op{bad})
			assert.False(t, hit)
			m.learn(100, began, []store.Op{bad}, true)
			m.learn(100, began, []store.Op{bad}, false)
			bad.Kind = store.Refund
			m.learn(100, began, []store.Op{bad, bad}, true)
		}
	})
}

// Takes arrive all the time. A caller that resets the bucket finds it full, because no older denial
// outlives the reset. The takes get at most as many tokens as the resets allow.
func TestDenialsUnderLoad(t *testing.T) {
	m, s := newDenials(64), newMemory(nil)
	l := newLimit(t, "a", 0, 1, time.Hour, 0)
	begin := time.Now()
	apply := func(op store.Op) store.Result {
		ops := []store.Op{op}
		began, hit := m.answer(time.Since(begin), ops)
		if hit {
			runtime.Gosched()
			return ops[0].Result
		}
		err := s.Apply(context.Background(), ops)
		runtime.Gosched() // the answer is on its way
		m.learn(time.Since(begin), began, ops, err != nil)
		return ops[0].Result
	}
	alice := user("alice")
	var allowed atomic.Int64
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				if apply(take(l, alice, 1)).Allowed {
					allowed.Add(1)
				}
			}
		})
	}
	const resets = 500
	var stuck error
	for i := range int64(resets) {
		deadline := time.Now().Add(5 * time.Second)
		for allowed.Load() <= i && stuck == nil {
			if runtime.Gosched(); time.Now().After(deadline) {
				stuck = errors.New("no take was allowed after a reset")
			}
		}
		apply(store.Op{Kind: store.Reset, Limit: l, Key: alice})
	}
	stop()
	wg.Wait()
	require.NoError(t, stuck)
	assert.LessOrEqual(t, allowed.Load(), int64(resets+1))
}

// After a while one caller calls the store again, so that a client that another process unblocked
// is soon allowed. If the store does not answer, the denial stands.
func TestDenialsAreCheckedAgain(t *testing.T) {
	f := newFront()
	op := take(newLimit(t, "a", 0, 1, 24*time.Hour, 0), user("a"), 1)
	other := take(op.Limit, user("b"), 1)
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
		f.time += 999 * ms
		require.Zero(t, trips())
	}
	f.time = begun + 10*time.Second
	ops := []store.Op{op}
	began, hit := f.m.answer(f.time, ops)
	require.False(t, hit)
	require.Zero(t, trips(), "while another caller calls the store")
	f.m.learn(f.time, began, ops, true)
	require.Zero(t, trips(), "after the store did not answer")
	f.time += 10*time.Second - 1
	require.Zero(t, trips())
	f.time++
	require.Equal(t, 1, trips())
	require.Zero(t, trips())

	reset := []store.Op{{Kind: store.Reset, Limit: op.Limit, Key: op.Key}}
	require.NoError(t, f.behind.Apply(context.Background(), reset))
	f.time += 10 * time.Second
	require.True(t, f.do(t, op)[0].Allowed, "unblocked elsewhere")
	require.NoError(t, f.behind.Apply(context.Background(), reset))
	require.True(t, f.do(t, op)[0].Allowed, "the denial is forgotten")
	require.False(t, f.do(t, other)[0].Allowed)
}
