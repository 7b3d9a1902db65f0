package storetest_test

import (
	"context"

	"github.com/ratelimit-go/ratelimit/internal/storefake"
	"github.com/ratelimit-go/ratelimit/store"
)

func refundMutants() []mutant {
	return []mutant{
		{
			name: "keeps refunds above the burst", make: keepsRefunds,
			cases: []string{"a refund stops at the burst", "a refund to a new bucket leaves it full"},
		},
		{name: "ignores a refund to an empty bucket", make: ignoresRefund, cases: []string{"a refund puts tokens back"}},
		{name: "refunds part of a token too much", make: refundsPart, cases: []string{"a refund counts parts of a token"}},
		{name: "resets all", make: resetsAll, cases: []string{"a reset fills one bucket"}},
		{name: "resets no bucket", make: rewrite(func(op *store.Op) {
			if op.Kind == store.Reset {
				op.Kind, op.Cost = store.Refund, 1
			}
		}), cases: []string{"a batch is evaluated in order"}},
		{name: "denies TakeUpTo", make: answer(func(op *store.Op) {
			if op.Kind == store.TakeUpTo && op.Result.Remaining == 0 {
				op.Result.Allowed, op.Result.RetryAfter = false, 1
			}
		}), cases: []string{"TakeUpTo stops at an empty bucket"}},
		{name: "takes up to one", make: rewrite(func(op *store.Op) {
			if op.Kind == store.TakeUpTo {
				op.Cost = min(op.Cost, 1)
			}
		}), cases: []string{"TakeUpTo takes tokens", "TakeUpTo in a batch"}},
		{name: "takes up to whole tokens only", make: takesWhole, cases: []string{"TakeUpTo takes part of a token"}},
		{
			name: "settles debts when it takes up to a cost", make: settlesDebts,
			cases: []string{"TakeUpTo keeps a debt above a lowered burst"},
		},
	}
}

func keepsRefunds(s store.Store, _ *manual) storefake.Func {
	extra := make(map[store.Key]int64)
	return func(ctx context.Context, ops []store.Op) error {
		if len(ops) != 1 || ops[0].Cost < 0 {
			return s.Apply(ctx, ops)
		}
		op := &ops[0]
		if op.Kind == store.Take && extra[op.Key] >= op.Cost && op.Cost > 0 {
			extra[op.Key] -= op.Cost
			free := []store.Op{{Limit: op.Limit, Key: op.Key}}
			err := s.Apply(ctx, free)
			op.Result = free[0].Result
			return err
		}
		err := s.Apply(ctx, ops)
		if op.Kind == store.Refund && err == nil && op.Result.ResetAfter == 0 {
			extra[op.Key] += op.Cost
		}
		return err
	}
}

func ignoresRefund(s store.Store, _ *manual) storefake.Func { return ignoresIfEmpty(s, store.Refund) }

// takesWhole leaves a part of a token in the bucket.
func takesWhole(s store.Store, _ *manual) storefake.Func { return ignoresIfEmpty(s, store.TakeUpTo) }

// ignoresIfEmpty ignores ops of that kind on buckets that have no whole token.
func ignoresIfEmpty(s store.Store, kind store.Kind) storefake.Func {
	return func(ctx context.Context, ops []store.Op) error {
		if len(ops) == 1 && ops[0].Kind == kind && ops[0].Cost > 0 {
			look := []store.Op{{Kind: store.Peek, Limit: ops[0].Limit, Key: ops[0].Key}}
			if err := s.Apply(ctx, look); err == nil && look[0].Result.Remaining == 0 {
				ops[0].Result = look[0].Result
				return nil
			}
		}
		return s.Apply(ctx, ops)
	}
}

// refundsPart makes a bucket full if it lacks less than a token after a refund.
func refundsPart(s store.Store, _ *manual) storefake.Func {
	return answer(func(op *store.Op) {
		if op.Kind == store.Refund && op.Result.ResetAfter < tokenTime(op.Limit) {
			fill := []store.Op{{Kind: store.Reset, Limit: op.Limit, Key: op.Key}}
			_ = s.Apply(context.Background(), fill)
			op.Result = fill[0].Result
		}
	})(s, nil)
}

func resetsAll(_ store.Store, m *manual) storefake.Func {
	s := newBuckets(m.Now)
	return func(ctx context.Context, ops []store.Op) error {
		if len(ops) == 1 && ops[0].Kind == store.Reset {
			s = newBuckets(m.Now)
		}
		return s.Apply(ctx, ops)
	}
}

// settlesDebts starts again with an empty bucket whenever TakeUpTo finds one.
func settlesDebts(s store.Store, _ *manual) storefake.Func {
	return answer(func(op *store.Op) {
		if op.Kind == store.TakeUpTo && op.Result.Remaining == 0 {
			again := []store.Op{
				{Kind: store.Reset, Limit: op.Limit, Key: op.Key},
				{Kind: store.TakeUpTo, Limit: op.Limit, Key: op.Key, Cost: op.Limit.Burst()},
			}
			_ = s.Apply(context.Background(), again)
			op.Result = again[1].Result
		}
	})(s, nil)
}
