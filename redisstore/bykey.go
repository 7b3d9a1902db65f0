package redisstore

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/ratelimit-go/ratelimit"
)

// group is the ops of a batch on one key, in their order.
type group struct {
	at  []int // their places in the batch
	ops []ratelimit.Op
	all []terms
}

func groupByKey(ops []ratelimit.Op, all []terms) []*group {
	byKey := map[ratelimit.Key]*group{}
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
	slices.SortStableFunc(groups, func(a, b *group) int { return cmp.Compare(a.last(), b.last()) })
	return groups
}

// last is 0 if g has a take, 1 otherwise.
func (g *group) last() int {
	if slices.ContainsFunc(g.ops, func(op ratelimit.Op) bool { return op.Kind == ratelimit.OpTake }) {
		return 0
	}
	return 1
}

func (g *group) refused() bool {
	return slices.ContainsFunc(g.ops, func(op ratelimit.Op) bool {
		return op.Kind == ratelimit.OpTake && !op.Result.Allowed
	})
}

// onlyAsk turns g into questions, since the batch is refused already.
func (g *group) onlyAsk() {
	for i := range g.ops {
		op := &g.ops[i]
		if op.Kind != ratelimit.OpTake && op.Kind != ratelimit.OpPeek {
			op.Cost = 0
		}
		op.Kind = ratelimit.OpPeek
	}
}

// applyByKey decides ops whose buckets are on different servers: one key after another,
// giving back what was taken if a later one refuses or fails, for which a quarter of the time is left. Credits, resets and drains cannot
// be undone, so keys without a take come last.
func (s *Store) applyByKey(ctx context.Context, ops []ratelimit.Op, all []terms) error {
	groups := groupByKey(ops, all)
	var taken []*group
	refused := false
	asking, cancel := ctx, func() {}
	if until, ok := ctx.Deadline(); ok && len(groups) > 1 { // what was taken must be given back before
		asking, cancel = context.WithDeadline(ctx, until.Add(-time.Until(until)/4))
	}
	defer cancel()
	for _, g := range groups {
		if refused {
			g.onlyAsk()
		}
		if err := s.run(asking, g.ops, g.all); err != nil {
			return errors.Join(err, s.giveBack(ctx, taken))
		}
		if !refused && g.refused() {
			refused = true
			if err := s.giveBack(ctx, taken); err != nil {
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

// giveBack credits what groups took, and shows it in their levels. An error says that some
// of it may be lost.
func (s *Store) giveBack(ctx context.Context, groups []*group) error {
	var errs []error
	for _, g := range groups {
		var credits []ratelimit.Op
		for i := range g.ops {
			op := g.ops[i]
			if op.Kind != ratelimit.OpTake {
				op.Cost = 0
			}
			op.Kind = ratelimit.OpCredit
			credits = append(credits, op)
		}
		if err := s.run(ctx, credits, g.all); err != nil {
			errs = append(errs, err)
			continue
		}
		for i := range credits {
			r := &g.ops[i].Result
			r.Remaining, r.ResetAfter = credits[i].Result.Remaining, credits[i].Result.ResetAfter
		}
	}
	return errors.Join(errs...)
}
