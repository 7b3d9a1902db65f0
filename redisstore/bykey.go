package redisstore

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/ratelimit-go/ratelimit/store"
)

// A group is the ops of a batch on one key, in their order.
type group struct {
	at  []int // their places in the batch
	ops []store.Op
	all []terms
}

func groupByKey(ops []store.Op, all []terms) []*group {
	byKey := map[store.Key]*group{}
	var groups []*group
	for i := range ops {
		g := byKey[ops[i].Key]
		if g == nil {
			g = new(group)
			byKey[ops[i].Key] = g
			groups = append(groups, g)
		}
		g.at, g.ops, g.all = append(g.at, i), append(g.ops, ops[i]), append(g.all, all[i])
	}
	slices.SortStableFunc(groups, func(a, b *group) int { return cmp.Compare(a.rank(), b.rank()) })
	return groups
}

// rank is 0 if g has a Take, and 1 otherwise.
func (g *group) rank() int {
	if slices.ContainsFunc(g.ops, func(op store.Op) bool { return op.Kind == store.Take }) {
		return 0
	}
	return 1
}

func (g *group) denied() bool {
	return slices.ContainsFunc(g.ops, func(op store.Op) bool {
		return op.Kind == store.Take && !op.Result.Allowed
	})
}

// onlyPeek makes g change nothing, because the batch is already denied.
func (g *group) onlyPeek() {
	for i := range g.ops {
		op := &g.ops[i]
		if op.Kind != store.Take && op.Kind != store.Peek {
			op.Cost = 0
		}
		op.Kind = store.Peek
	}
}

// applyByKey decides ops whose buckets are on different servers, one key after another. If a key
// denies or fails, applyByKey refunds what earlier keys have paid. A quarter of the time is kept
// for that. Refund, Reset and TakeUpTo cannot be undone, so keys without a Take come last.
func (s *Store) applyByKey(ctx context.Context, ops []store.Op, all []terms) error {
	groups := groupByKey(ops, all)
	var taken []*group
	denied := false
	deciding, cancel := ctx, func() {}
	if until, ok := ctx.Deadline(); ok && len(groups) > 1 {
		deciding, cancel = context.WithDeadline(ctx, until.Add(-time.Until(until)/4))
	}
	defer cancel()
	for _, g := range groups {
		if denied {
			g.onlyPeek()
		}
		if err := s.run(deciding, g.ops, g.all); err != nil {
			return errors.Join(s.onShard(err, g.ops[0].Key), s.refund(ctx, taken))
		}
		if !denied && g.denied() {
			denied = true
			if err := s.refund(ctx, taken); err != nil {
				return err
			}
			continue
		}
		taken = append(taken, g)
	}
	for _, g := range groups {
		for i, at := range g.at {
			ops[at].Result = g.ops[i].Result
		}
	}
	return nil
}

// refund refunds what groups took, and updates their levels. An error means that some of it may be
// lost.
func (s *Store) refund(ctx context.Context, groups []*group) error {
	var errs []error
	for _, g := range groups {
		var refunds []store.Op
		for i := range g.ops {
			op := g.ops[i]
			if op.Kind != store.Take {
				op.Cost = 0
			}
			op.Kind = store.Refund
			refunds = append(refunds, op)
		}
		if err := s.run(ctx, refunds, g.all); err != nil {
			errs = append(errs, s.onShard(err, g.ops[0].Key))
			continue
		}
		for i := range refunds {
			r := &g.ops[i].Result
			r.Remaining, r.ResetAfter = refunds[i].Result.Remaining, refunds[i].Result.ResetAfter
		}
	}
	return errors.Join(errs...)
}
