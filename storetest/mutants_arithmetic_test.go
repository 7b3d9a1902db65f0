package storetest_test

import (
	"context"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/storefake"
	"github.com/ratelimit-go/ratelimit/store"
)

// tokenTime returns the time of one token, rounded down.
func tokenTime(l *store.Limit) time.Duration { return l.Period() / time.Duration(l.Count()) }

func arithmeticMutants() []mutant {
	return []mutant{
		{name: "rounds waits down", make: answer(func(op *store.Op) {
			if op.Result.RetryAfter > 1 {
				op.Result.RetryAfter--
			}
		}), cases: []string{"a retry after RetryAfter is allowed", "waits are rounded up", "RetryAfter is true after a change"}},
		{name: "rounds waits up to seconds", make: answer(func(op *store.Op) {
			op.Result.RetryAfter = (op.Result.RetryAfter + time.Second - 1).Truncate(time.Second)
		}), cases: []string{"a retry after RetryAfter is allowed", "waits are rounded up"}},
		{name: "says ResetAfter too low", make: answer(func(op *store.Op) {
			op.Result.ResetAfter -= op.Result.ResetAfter / 3
		}), cases: []string{"a bucket is full after ResetAfter"}},
		{name: "rounds Remaining up", make: answer(func(op *store.Op) {
			if op.Result.ResetAfter%tokenTime(op.Limit) != 0 {
				op.Result.Remaining = min(op.Result.Remaining+1, op.Limit.Burst())
			}
		}), cases: []string{"Remaining is rounded down"}},
		{name: "charges one token for any cost", make: rewrite(func(op *store.Op) {
			op.Cost = min(op.Cost, 1)
		}), cases: []string{"a take charges its cost", "takes stay within burst and rate"}},
		{name: "charges at least one", make: rewrite(func(op *store.Op) {
			op.Cost = max(op.Cost, 1)
		}), cases: []string{"a take of nothing is allowed and leaves no trace"}},
		{name: "cuts costs to 31 bits", make: rewrite(func(op *store.Op) {
			op.Cost = int64(int32(op.Cost)) & 0x7fffffff
		}), cases: []string{"huge costs do not overflow", "a refund stops at the burst"}},
		{name: "gives a wait for a cost above the burst", make: answer(func(op *store.Op) {
			if op.Result.ExceedsBurst {
				op.Result.ExceedsBurst, op.Result.RetryAfter = false, op.Limit.Period()
			}
		}), cases: []string{"a cost above the burst says so"}},
		{name: "gives no wait for a peek", make: answer(func(op *store.Op) {
			if op.Kind == store.Peek {
				op.Result.RetryAfter = 0
			}
		}), cases: []string{"a peek answers as a take would"}},
		{name: "holds one token more than the burst", make: rewrite(func(op *store.Op) {
			l := op.Limit
			op.Limit = limit(l.Rule(), l.Index(), l.Count(), l.Period(), l.Burst()+1)
		}), cases: []string{"a new bucket is full", "a bucket does not overflow"}},
		{
			name: "counts steps back of the clock as steps forward", make: rewindAdvances,
			cases: []string{"a clock set back and forth creates no tokens", "a clock set back creates no tokens"},
		},
		{name: "waits until a clock is where it was", make: locksOutOnRewind, cases: []string{"a clock set back locks no key out"}},
	}
}

func rewindAdvances(_ store.Store, m *manual) storefake.Func {
	last, now := m.Now(), m.Now()
	return newBuckets(func() time.Time {
		now = now.Add(m.Now().Sub(last).Abs())
		last = m.Now()
		return now
	}).Apply
}

func locksOutOnRewind(s store.Store, m *manual) storefake.Func {
	latest := m.Now()
	return func(ctx context.Context, ops []store.Op) error {
		if !m.Now().Before(latest) {
			latest = m.Now()
			return s.Apply(ctx, ops)
		}
		if err := s.Apply(ctx, ops); err != nil {
			return err
		}
		for i := range ops {
			ops[i].Result.Allowed, ops[i].Result.RetryAfter = false, latest.Sub(m.Now())
		}
		return nil
	}
}
