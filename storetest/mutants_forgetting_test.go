package storetest_test

import (
	"context"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/storefake"
	"github.com/ratelimit-go/ratelimit/store"
)

func forgettingMutants() []mutant {
	return []mutant{
		{name: "forgets after a period", make: forgetsAfterPeriod, cases: []string{"only full buckets are forgotten"}},
		{name: "forgets under load", make: forgetsUnderLoad, cases: []string{"only full buckets are forgotten"}},
		{name: "has no room beside old keys", make: overflowsOld, cases: []string{"a batch of old and new buckets"}},
		{
			name: "refills at half the rate", make: refillsSlowly,
			cases: []string{"a batch is allowed after its longest RetryAfter", "random ops agree with rational numbers"},
		},
	}
}

// forgetsAfterPeriod has a time to live that ignores the burst.
func forgetsAfterPeriod(s store.Store, m *manual) storefake.Func {
	used := make(map[id]time.Time)
	return func(ctx context.Context, ops []store.Op) error {
		if store.CheckOps(ops) != nil {
			return s.Apply(ctx, ops)
		}
		for _, op := range ops {
			if at, ok := used[idOf(&op)]; ok && m.Now().Sub(at) > op.Limit.Period() {
				_ = s.Apply(ctx, []store.Op{{Kind: store.Reset, Limit: op.Limit, Key: op.Key}})
			}
			used[idOf(&op)] = m.Now()
		}
		return s.Apply(ctx, ops)
	}
}

// forgetsUnderLoad holds 100 buckets, and forgets the oldest.
func forgetsUnderLoad(s store.Store, _ *manual) storefake.Func {
	held := make(map[id]bool)
	var oldest []store.Op
	return func(ctx context.Context, ops []store.Op) error {
		if store.CheckOps(ops) != nil {
			return s.Apply(ctx, ops)
		}
		for _, op := range ops {
			if !held[idOf(&op)] {
				held[idOf(&op)] = true
				oldest = append(oldest, op)
			}
		}
		for len(oldest) > 100 {
			op := oldest[0]
			_ = s.Apply(ctx, []store.Op{{Kind: store.Reset, Limit: op.Limit, Key: op.Key}})
			delete(held, idOf(&op))
			oldest = oldest[1:]
		}
		return s.Apply(ctx, ops)
	}
}

// overflowsOld uses a shared bucket if a batch has both keys that it knows and others.
func overflowsOld(s store.Store, _ *manual) storefake.Func {
	known := make(map[id]bool)
	return func(ctx context.Context, ops []store.Op) error {
		if store.CheckOps(ops) != nil {
			return s.Apply(ctx, ops)
		}
		old := 0
		for _, op := range ops {
			if known[idOf(&op)] {
				old++
			}
			known[idOf(&op)] = true
		}
		if err := s.Apply(ctx, ops); err != nil {
			return err
		}
		for i := range ops {
			ops[i].Result.Overflow = old > 0 && old < len(ops)
		}
		return nil
	}
}

func refillsSlowly(_ store.Store, m *manual) storefake.Func {
	start := m.Now()
	return newBuckets(func() time.Time { return start.Add(m.Now().Sub(start) / 2) }).Apply
}
