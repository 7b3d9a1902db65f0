package storetest_test

import (
	"context"
	"runtime"
	"slices"

	"github.com/ratelimit-go/ratelimit/internal/storefake"
	"github.com/ratelimit-go/ratelimit/store"
)

func batchMutants() []mutant {
	return []mutant{
		{
			name: "charges for denials", make: chargesDenials,
			cases: []string{"a denied take charges nothing", "a batch takes all or nothing"},
		},
		{
			name: "applies ops one by one", make: oneByOne,
			cases: []string{"a batch takes all or nothing", "a denied batch refunds nothing"},
		},
		{
			name: "checks, then acts", make: checkThenAct, racy: true,
			cases: []string{"goroutines on one key", "goroutines that refund what they took"},
		},
		{
			name: "takes part of a batch under contention", make: partUnderContention, racy: true,
			cases: []string{"goroutines on several buckets at once"},
		},
		{
			name: "forgets a bucket's first op in a batch", make: dropsDuplicates,
			cases: []string{"a batch uses a bucket twice", "a denied batch uses a bucket twice"},
		},
		{name: "sorts takes first", make: takesFirst, cases: []string{"a batch is evaluated in order"}},
		{name: "charges for peeks", make: rewrite(func(op *store.Op) {
			if op.Kind == store.Peek && op.Cost > 0 {
				op.Kind = store.Take
			}
		}), cases: []string{"a peek changes nothing", "a peek denies no batch"}},
		{
			name: "says what is left before the charge", make: reportsBefore,
			cases: []string{"a new bucket is full", "a refund puts tokens back"},
		},
		{name: "leaves old flags in a Result", make: leavesFlags, cases: []string{"a new bucket is full"}},
		{name: "writes to an op", make: answer(func(op *store.Op) { op.Cost = 0 }), cases: []string{"a take charges its cost"}},
	}
}

func chargesDenials(s store.Store, _ *manual) storefake.Func {
	return func(ctx context.Context, ops []store.Op) error {
		err := s.Apply(ctx, ops)
		for _, op := range ops {
			if err == nil && denied(ops) && op.Result.Remaining > 0 {
				_ = s.Apply(ctx, []store.Op{{Limit: op.Limit, Key: op.Key, Cost: 1}})
			}
		}
		return err
	}
}

func oneByOne(s store.Store, _ *manual) storefake.Func {
	return func(ctx context.Context, ops []store.Op) error {
		if err := store.CheckOps(ops); err != nil {
			return err
		}
		for i := range ops {
			if err := s.Apply(ctx, ops[i:i+1]); err != nil {
				return err
			}
		}
		return nil
	}
}

// checkThenAct peeks, leaves time for other calls to do the same, and takes what is still there.
func checkThenAct(s store.Store, _ *manual) storefake.Func {
	return func(ctx context.Context, ops []store.Op) error {
		if len(ops) != 1 || ops[0].Kind != store.Take || ops[0].Cost != 1 {
			return s.Apply(ctx, ops)
		}
		look := []store.Op{ops[0]}
		look[0].Kind = store.Peek
		if err := s.Apply(ctx, look); err != nil {
			return err
		}
		for range 20 {
			runtime.Gosched()
		}
		err := s.Apply(ctx, ops)
		ops[0].Result.Allowed, ops[0].Result.RetryAfter = look[0].Result.Allowed, look[0].Result.RetryAfter
		return err
	}
}

// partUnderContention refunds what a denied batch took, as clients of a cluster do, but forgets one
// op.
func partUnderContention(s store.Store, _ *manual) storefake.Func {
	return func(ctx context.Context, ops []store.Op) error {
		if err := store.CheckOps(ops); err != nil || len(ops) < 2 {
			return s.Apply(ctx, ops)
		}
		for i := range ops {
			if err := s.Apply(ctx, ops[i:i+1]); err != nil {
				return err
			}
			runtime.Gosched()
			if denied(ops[i : i+1]) {
				for _, op := range ops[:max(i-1, 0)] {
					_ = s.Apply(ctx, []store.Op{{Kind: store.Refund, Limit: op.Limit, Key: op.Key, Cost: op.Cost}})
				}
				return nil
			}
		}
		return nil
	}
}

// dropsDuplicates keeps only the last op on each bucket.
func dropsDuplicates(s store.Store, _ *manual) storefake.Func {
	type bucket struct {
		limit *store.Limit
		key   store.Key
	}
	return func(ctx context.Context, ops []store.Op) error {
		if store.CheckOps(ops) != nil {
			return s.Apply(ctx, ops)
		}
		last, order := make(map[bucket]store.Op), []bucket(nil)
		for _, op := range ops {
			id := bucket{op.Limit, op.Key}
			if _, ok := last[id]; !ok {
				order = append(order, id)
			}
			last[id] = op
		}
		var once []store.Op
		for _, id := range order {
			once = append(once, last[id])
		}
		err := s.Apply(ctx, once)
		for i := range ops {
			for _, op := range once {
				if op.Limit == ops[i].Limit && op.Key == ops[i].Key {
					ops[i].Result = op.Result
				}
			}
		}
		return err
	}
}

func takesFirst(s store.Store, _ *manual) storefake.Func {
	return func(ctx context.Context, ops []store.Op) error {
		var sorted []store.Op
		var from []int
		for _, takes := range []bool{true, false} {
			for i, op := range ops {
				if (op.Kind == store.Take) == takes {
					sorted, from = append(sorted, op), append(from, i)
				}
			}
		}
		err := s.Apply(ctx, sorted)
		for i, n := range from {
			ops[n].Result = sorted[i].Result
		}
		return err
	}
}

func reportsBefore(s store.Store, _ *manual) storefake.Func {
	return func(ctx context.Context, ops []store.Op) error {
		look := slices.Clone(ops)
		for i := range look {
			look[i].Kind = store.Peek
		}
		if err := s.Apply(ctx, look); err != nil {
			return err
		}
		err := s.Apply(ctx, ops)
		for i := range ops {
			ops[i].Result.Remaining = look[i].Result.Remaining
		}
		return err
	}
}

func leavesFlags(s store.Store, _ *manual) storefake.Func {
	return func(ctx context.Context, ops []store.Op) error {
		old := slices.Clone(ops)
		err := s.Apply(ctx, ops)
		for i := range ops {
			ops[i].Result.ExceedsBurst = ops[i].Result.ExceedsBurst || old[i].Result.ExceedsBurst
		}
		return err
	}
}
