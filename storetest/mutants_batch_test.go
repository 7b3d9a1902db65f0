package storetest_test

import (
	"context"
	"fmt"
	"runtime"

	"github.com/ratelimit-go/ratelimit"
)

func batchMutants() []mutant {
	return []mutant{
		{"charges for refusals", chargesRefusals, []string{"a refusal charges nothing", "a batch takes all or nothing"}, false},
		{"applies ops one by one", oneByOne, []string{"a batch takes all or nothing", "a refused batch gives nothing back"}, false},
		{"checks, then acts", checkThenAct, []string{"goroutines on one key", "goroutines that give back what they took"}, true},
		{"forgets a bucket's first op in a batch", dropsDuplicates, []string{"a bucket twice in a batch", "a bucket twice in a refused batch"}, false},
		{"sorts takes first", takesFirst, []string{"a batch is evaluated in order"}, false},
		{"peeks charge", rewrite(func(op *ratelimit.Op) {
			if op.Kind == ratelimit.OpPeek && op.Cost > 0 {
				op.Kind = ratelimit.OpTake
			}
		}), []string{"a peek changes nothing", "a peek never votes"}, false},
		{"refuses an empty batch", func(s ratelimit.Store, _ *manual) storeFunc {
			return func(ctx context.Context, ops []ratelimit.Op) error {
				if len(ops) == 0 {
					return fmt.Errorf("nothing to do")
				}
				return s.Apply(ctx, ops)
			}
		}, []string{"an empty batch"}, false},
		{"refuses a large batch", func(s ratelimit.Store, _ *manual) storeFunc {
			return func(ctx context.Context, ops []ratelimit.Op) error {
				if len(ops) > 32 {
					return fmt.Errorf("%d ops are too many", len(ops))
				}
				return s.Apply(ctx, ops)
			}
		}, []string{"a batch of 64"}, false},
		{"skips invalid ops", skipsInvalid, []string{"invalid ops", "keys that are no identity"}, false},
		{"charges part of a canceled batch", chargesPart, []string{"a context that is done", "a context that was canceled once"}, false},
		{"stays canceled", staysCanceled, []string{"a context that was canceled once"}, false},
		{"says what is left before the charge", func(s ratelimit.Store, _ *manual) storeFunc {
			return func(ctx context.Context, ops []ratelimit.Op) error {
				look := append([]ratelimit.Op(nil), ops...)
				for i := range look {
					look[i].Kind = min(look[i].Kind, ratelimit.OpPeek)
					look[i].Kind = max(look[i].Kind, ratelimit.OpPeek)
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
		}, []string{"a new bucket is full", "a credit gives tokens back"}, false},
		{"leaves old flags in a Result", func(s ratelimit.Store, _ *manual) storeFunc {
			return func(ctx context.Context, ops []ratelimit.Op) error {
				old := append([]ratelimit.Op(nil), ops...)
				err := s.Apply(ctx, ops)
				for i := range ops {
					ops[i].Result.Never = ops[i].Result.Never || old[i].Result.Never
				}
				return err
			}
		}, []string{"a new bucket is full"}, false},
		{"writes to an op", answer(func(op *ratelimit.Op) { op.Cost = 0 }), []string{"a take charges its cost"}, false},
	}
}

func chargesRefusals(s ratelimit.Store, _ *manual) storeFunc {
	return func(ctx context.Context, ops []ratelimit.Op) error {
		err := s.Apply(ctx, ops)
		for _, op := range ops {
			if err == nil && refused(ops) && op.Result.Remaining > 0 {
				_ = s.Apply(ctx, []ratelimit.Op{{Limit: op.Limit, Key: op.Key, Cost: 1}})
			}
		}
		return err
	}
}

func oneByOne(s ratelimit.Store, _ *manual) storeFunc {
	return func(ctx context.Context, ops []ratelimit.Op) error {
		if err := ratelimit.CheckOps(ops); err != nil {
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

// checkThenAct looks, leaves time for others to do the same, and takes what is still there.
func checkThenAct(s ratelimit.Store, _ *manual) storeFunc {
	return func(ctx context.Context, ops []ratelimit.Op) error {
		if len(ops) != 1 || ops[0].Kind != ratelimit.OpTake || ops[0].Cost != 1 {
			return s.Apply(ctx, ops)
		}
		look := []ratelimit.Op{ops[0]}
		look[0].Kind = ratelimit.OpPeek
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

// dropsDuplicates keeps buckets in a map while it works.
func dropsDuplicates(s ratelimit.Store, _ *manual) storeFunc {
	type bucket struct {
		limit *ratelimit.NamedLimit
		key   ratelimit.Key
	}
	return func(ctx context.Context, ops []ratelimit.Op) error {
		if ratelimit.CheckOps(ops) != nil {
			return s.Apply(ctx, ops)
		}
		last, order := make(map[bucket]ratelimit.Op), []bucket(nil)
		for _, op := range ops {
			id := bucket{op.Limit, op.Key}
			if _, ok := last[id]; !ok {
				order = append(order, id)
			}
			last[id] = op
		}
		var once []ratelimit.Op
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

func takesFirst(s ratelimit.Store, _ *manual) storeFunc {
	return func(ctx context.Context, ops []ratelimit.Op) error {
		var sorted []ratelimit.Op
		var from []int
		for _, takes := range []bool{true, false} {
			for i, op := range ops {
				if (op.Kind == ratelimit.OpTake) == takes {
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

func skipsInvalid(s ratelimit.Store, _ *manual) storeFunc {
	return func(ctx context.Context, ops []ratelimit.Op) error {
		for i := range ops {
			if ratelimit.CheckOps(ops[i:i+1]) == nil {
				continue
			}
			rest := append([]ratelimit.Op(nil), ops[:i]...)
			_ = s.Apply(ctx, append(rest, ops[i+1:]...))
			return nil
		}
		return s.Apply(ctx, ops)
	}
}

func chargesPart(s ratelimit.Store, _ *manual) storeFunc {
	return func(ctx context.Context, ops []ratelimit.Op) error {
		if ctx.Err() == nil {
			return s.Apply(ctx, ops)
		}
		n := (len(ops) + 1) / 2
		_ = s.Apply(context.WithoutCancel(ctx), append([]ratelimit.Op(nil), ops[:n]...))
		if n == len(ops) {
			_ = s.Apply(context.WithoutCancel(ctx), append([]ratelimit.Op(nil), ops...)) // a retry
		}
		return ctx.Err()
	}
}

func staysCanceled(s ratelimit.Store, _ *manual) storeFunc {
	var once error
	return func(ctx context.Context, ops []ratelimit.Op) error {
		if once == nil {
			once = ctx.Err()
			return s.Apply(ctx, ops)
		}
		err := once
		once = nil
		return err
	}
}
