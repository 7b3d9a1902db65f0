package storetest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ratelimit-go/ratelimit/internal/storefake"
	"github.com/ratelimit-go/ratelimit/store"
)

func errorMutants() []mutant {
	return []mutant{
		{name: "has an error for an empty batch", make: func(s store.Store, _ *manual) storefake.Func {
			return func(ctx context.Context, ops []store.Op) error {
				if len(ops) == 0 {
					return errors.New("nothing to do")
				}
				return s.Apply(ctx, ops)
			}
		}, cases: []string{"an empty batch is no error"}},
		{name: "has an error for a large batch", make: func(s store.Store, _ *manual) storefake.Func {
			return func(ctx context.Context, ops []store.Op) error {
				if len(ops) > 32 {
					return fmt.Errorf("%d ops are too many", len(ops))
				}
				return s.Apply(ctx, ops)
			}
		}, cases: []string{"a batch of 64 ops"}},
		{
			name: "skips invalid ops", make: skipsInvalid,
			cases: []string{"invalid ops are errors", "keys that identify no client are errors"},
		},
		{
			name: "charges part of a canceled batch", make: chargesPart,
			cases: []string{"a batch under a done context is all or nothing", "a done context harms no later call"},
		},
		{name: "stays canceled", make: staysCanceled, cases: []string{"a done context harms no later call"}},
	}
}

func skipsInvalid(s store.Store, _ *manual) storefake.Func {
	return func(ctx context.Context, ops []store.Op) error {
		for i := range ops {
			if ops[i].Valid() {
				continue
			}
			rest := slices.Clone(ops[:i])
			_ = s.Apply(ctx, append(rest, ops[i+1:]...))
			return nil
		}
		return s.Apply(ctx, ops)
	}
}

func chargesPart(s store.Store, _ *manual) storefake.Func {
	return func(ctx context.Context, ops []store.Op) error {
		if ctx.Err() == nil {
			return s.Apply(ctx, ops)
		}
		n := (len(ops) + 1) / 2
		_ = s.Apply(context.WithoutCancel(ctx), slices.Clone(ops[:n]))
		if n == len(ops) {
			_ = s.Apply(context.WithoutCancel(ctx), slices.Clone(ops)) // a retry
		}
		return ctx.Err()
	}
}

// staysCanceled returns the error of a canceled call to the next call.
func staysCanceled(s store.Store, _ *manual) storefake.Func {
	var once error
	return func(ctx context.Context, ops []store.Op) error {
		if once == nil {
			once = ctx.Err()
			return s.Apply(ctx, ops)
		}
		err := once
		once = nil
		return err
	}
}
