package storetest_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/internal/storefake"
	"github.com/ratelimit-go/ratelimit/store"
	"github.com/ratelimit-go/ratelimit/storetest"
)

// A mutant is a store with a bug that a limiter has had, or might well have.
type mutant struct {
	name  string
	make  func(s store.Store, m *manual) storefake.Func // s is correct
	cases []string                                      // that must find it
	racy  bool                                          // whether it shows only if calls run at once
}

// harness returns the Harness of the mutant on a clock of its own.
func (mut mutant) harness() storetest.Harness {
	h := harness(func(m *manual) store.Store {
		f := mut.make(newBuckets(m.Now), m)
		if mut.racy {
			return f
		}
		var mu sync.Mutex
		return storefake.Func(func(ctx context.Context, ops []store.Op) error {
			mu.Lock()
			defer mu.Unlock()
			return f(ctx, ops)
		})
	})
	if client, ok := clients()[mut.name]; ok {
		return withServer(h, client)
	}
	return h
}

func mutants() []mutant {
	return slices.Concat(
		arithmeticMutants(), refundMutants(), batchMutants(), errorMutants(),
		storageMutants(), forgettingMutants(), changeMutants(), stallMutants(),
	)
}

// Tests that cannot fail prove nothing: the cases that should find a mutant must fail for it.
func TestCasesFindMutants(t *testing.T) {
	for _, mut := range mutants() {
		t.Run(mut.name, func(t *testing.T) {
			t.Parallel()
			failed := mut.failures(t)
			require.NotEmpty(t, failed, "the mutant lives")
			for _, name := range mut.cases {
				if assert.Contains(t, failed, name, "the case should find this") {
					assert.Contains(t, failed[name], "The contract: ")
				}
			}
		})
	}
}

// failures runs the cases that should find the mutant. A server that stalls takes seconds, so it
// does so in a bubble.
func (mut mutant) failures(t *testing.T) (failed map[string]string) {
	if _, ok := clients()[mut.name]; !ok {
		return storetest.Failures(t, mut.harness(), mut.cases...)
	}
	synctest.Test(t, func(t *testing.T) { failed = storetest.Failures(t, mut.harness(), mut.cases...) })
	return failed
}

func TestEachCaseFindsAMutant(t *testing.T) {
	found := map[string]bool{}
	for _, mut := range mutants() {
		for _, name := range mut.cases {
			found[name] = true
		}
	}
	for _, name := range storetest.CaseNames(stallMutants()[0].harness()) {
		assert.True(t, found[name], "no mutant is found by %q", name)
	}
}

func TestStoreWithoutABugPasses(t *testing.T) {
	t.Parallel()
	h := harness(func(m *manual) store.Store { return storefake.Func(newBuckets(m.Now).Apply) })
	assert.Empty(t, storetest.Failures(t, h))
}

// rewrite returns a mutant that applies other ops than the given ones.
func rewrite(f func(op *store.Op)) func(store.Store, *manual) storefake.Func {
	return func(s store.Store, _ *manual) storefake.Func {
		return func(ctx context.Context, ops []store.Op) error {
			changed := slices.Clone(ops)
			for i := range changed {
				if changed[i].Valid() {
					f(&changed[i])
				}
			}
			err := s.Apply(ctx, changed)
			for i := range ops {
				ops[i].Result = changed[i].Result
			}
			return err
		}
	}
}

// answer returns a mutant that changes its answers.
func answer(f func(op *store.Op)) func(store.Store, *manual) storefake.Func {
	return func(s store.Store, _ *manual) storefake.Func {
		return func(ctx context.Context, ops []store.Op) error {
			if err := s.Apply(ctx, ops); err != nil {
				return err
			}
			for i := range ops {
				f(&ops[i])
			}
			return nil
		}
	}
}

// denied reports whether the batch was denied.
func denied(ops []store.Op) bool {
	return slices.ContainsFunc(ops, func(op store.Op) bool {
		return op.Kind == store.Take && !op.Result.Allowed
	})
}

func limit(rule string, index int, count int64, period time.Duration, burst int64) *store.Limit {
	l, err := store.NewLimit(rule, index, count, period, burst)
	if err != nil {
		panic(err)
	}
	return l
}

// like returns a limit with the numbers of l under another name.
func like(l *store.Limit, rule string, index int) *store.Limit {
	return limit(rule, index, l.Count(), l.Period(), l.Burst())
}
