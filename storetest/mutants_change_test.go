package storetest_test

import (
	"context"
	"slices"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/storefake"
	"github.com/ratelimit-go/ratelimit/store"
)

// changeMutants are stores that err only if the numbers of a limit change.
func changeMutants() []mutant {
	const together = "versions of a limit allow at most the larger together"
	return []mutant{
		{
			name: "cuts a debt to a lower burst", make: cutsDebts,
			cases: []string{"a lower burst forgives nothing", together},
		},
		{name: "has a bucket for each rate", make: rewrite(func(op *store.Op) {
			l := op.Limit
			op.Limit = like(l, l.Rule()+(l.Period()/time.Duration(l.Count())).String(), l.Index())
		}), cases: []string{"two rates have one burst", together, "changes of a limit create no tokens"}},
		{
			name: "counts the time of a token at the new rate", make: countsPartsAgain,
			cases: []string{"two rates have one burst"},
		},
		{
			name: "does not carry what other versions have charged", make: func(s store.Store, _ *manual) storefake.Func {
				s.(*buckets).careless = true
				return s.Apply
			},
			cases: []string{
				"a slower limit that is added lends no burst", "no op of a version forgets what another has charged",
				"a burst that changes beside a limit that is added lends nothing",
				"a limit that moves to another place is not full",
			},
		},
		{
			name: "carries for takes only", make: func(s store.Store, _ *manual) storefake.Func {
				return func(ctx context.Context, ops []store.Op) error {
					s.(*buckets).careless = !slices.ContainsFunc(ops, func(op store.Op) bool { return op.Kind == store.Take })
					return s.Apply(ctx, ops)
				}
			},
			cases: []string{"no op of a version forgets what another has charged"},
		},
		{
			name: "does not spread what a version takes", make: func(s store.Store, _ *manual) storefake.Func {
				s.(*buckets).selfish = true
				return s.Apply
			},
			cases: []string{"versions of a rule count each other"},
		},
		{
			name: "spreads takes only", make: func(s store.Store, _ *manual) storefake.Func {
				return func(ctx context.Context, ops []store.Op) error {
					s.(*buckets).selfish = !slices.ContainsFunc(ops, func(op store.Op) bool { return op.Kind == store.Take })
					return s.Apply(ctx, ops)
				}
			},
			cases: []string{"versions of a rule put back what they took"},
		},
		{
			name: "takes all limits for versioned", make: rewrite(func(op *store.Op) { op.Limit = op.Limit.Versioned() }),
			cases: []string{"limits that are not versioned do not count each other"},
		},
		{
			name: "carries whatever the slowest limit lacks", make: carriesAll,
			cases: []string{"a faster limit that is added is full"},
		},
	}
}

// carriesAll makes each limit of a batch lack what the limit with index 0 lacks.
func carriesAll(s store.Store, _ *manual) storefake.Func {
	return func(ctx context.Context, ops []store.Op) error {
		for _, zero := range ops {
			if zero.Valid() && zero.Limit.Index() == 0 && len(ops) > 1 {
				level := []store.Op{{Kind: store.Peek, Limit: zero.Limit, Key: zero.Key}}
				if err := s.Apply(ctx, level); err != nil {
					return err
				}
				for _, op := range ops {
					if op.Valid() && op.Limit.Index() > 0 {
						op.Kind, op.Cost = store.TakeUpTo, zero.Limit.Burst()-level[0].Result.Remaining
						if err := s.Apply(ctx, []store.Op{op}); err != nil {
							return err
						}
					}
				}
			}
		}
		return s.Apply(ctx, ops)
	}
}

// cutsDebts cuts what a bucket lacks to the burst of the op, even if it denies the op.
func cutsDebts(s store.Store, _ *manual) storefake.Func {
	largest := map[id]int64{}
	return func(ctx context.Context, ops []store.Op) error {
		if err := s.Apply(ctx, ops); err != nil {
			return err
		}
		for i := range ops {
			op := ops[i]
			larger := largest[idOf(&op)] > op.Limit.Burst()
			largest[idOf(&op)] = max(largest[idOf(&op)], op.Limit.Burst())
			if !larger || op.Result.Remaining > 0 {
				continue
			}
			op.Cost = op.Limit.Burst()
			op.Kind = store.Reset
			cut := []store.Op{op, op}
			cut[1].Kind = store.TakeUpTo
			if err := s.Apply(ctx, cut); err != nil {
				return err
			}
			largest[idOf(&op)] = op.Limit.Burst()
		}
		return nil
	}
}

// countsPartsAgain is a store that keeps whole tokens and the instant at which the bucket lacked so
// many. That is up to the time of a token ago, which counts once more under another rate.
func countsPartsAgain(s store.Store, _ *manual) storefake.Func {
	last := map[id]*store.Limit{}
	return func(ctx context.Context, ops []store.Op) error {
		for i := range ops {
			op := ops[i]
			if !op.Valid() {
				continue
			}
			before := last[idOf(&op)]
			last[idOf(&op)] = op.Limit
			if before == nil || tokenTime(before) == tokenTime(op.Limit) {
				continue
			}
			old := []store.Op{{Kind: store.Peek, Limit: before, Key: op.Key}}
			if err := s.Apply(ctx, old); err != nil {
				return err
			}
			part := tokenTime(before) - old[0].Result.ResetAfter%tokenTime(before)
			back := []store.Op{{Kind: store.Refund, Limit: op.Limit, Key: op.Key, Cost: int64(part / tokenTime(op.Limit))}}
			if err := s.Apply(ctx, back); err != nil {
				return err
			}
		}
		return s.Apply(ctx, ops)
	}
}
