package storetest_test

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/storetest"
)

// A storeFunc is a Store. The mutants are an Exact with a storeFunc in front of it.
type storeFunc func(ctx context.Context, ops []ratelimit.Op) error

func (f storeFunc) Apply(ctx context.Context, ops []ratelimit.Op) error { return f(ctx, ops) }

// A mutant is a store with a bug, one that some limiter has had or might well have.
type mutant struct {
	name  string
	make  func(s ratelimit.Store, m *manual) storeFunc
	cases []string // some that must find it
	racy  bool     // whether it shows only if calls run at once
}

// harness returns the Harness of the mutant on a clock of its own.
func (mut mutant) harness() storetest.Harness {
	h := harness(func(m *manual) ratelimit.Store {
		f := mut.make(storetest.NewExact(m.Now), m)
		if mut.racy {
			return f
		}
		var mu sync.Mutex
		return storeFunc(func(ctx context.Context, ops []ratelimit.Op) error {
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

// Tests that cannot fail prove nothing: each mutant must be found, and each case must
// find one.
func TestMutantsAreFound(t *testing.T) {
	found := make(map[string]bool)
	for _, mut := range mutants() {
		t.Run(mut.name, func(t *testing.T) {
			failed := storetest.Failures(t, mut.harness())
			require.NotEmpty(t, failed, "the mutant lives")
			for _, name := range mut.cases {
				assert.Contains(t, failed, name, "the case should find this")
			}
			for name, message := range failed {
				found[name] = true
				assert.Contains(t, message, "The contract: ")
			}
		})
	}
	for _, name := range storetest.CaseNames(stallMutants()[0].harness()) {
		assert.True(t, found[name], "no mutant is found by %q", name)
	}
}

func TestNoMutationIsNotFound(t *testing.T) {
	h := harness(func(m *manual) ratelimit.Store {
		return storeFunc(storetest.NewExact(m.Now).Apply)
	})
	assert.Empty(t, storetest.Failures(t, h))
}

func mutants() []mutant {
	return append(arithmeticMutants(), append(batchMutants(), append(storageMutants(), stallMutants()...)...)...)
}

// rewrite returns a mutant that hears something else than what was said.
func rewrite(f func(op *ratelimit.Op)) func(ratelimit.Store, *manual) storeFunc {
	return func(s ratelimit.Store, _ *manual) storeFunc {
		return func(ctx context.Context, ops []ratelimit.Op) error {
			changed := append([]ratelimit.Op(nil), ops...)
			for i := range changed {
				if ratelimit.CheckOps(changed[i:i+1]) == nil {
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

// answer returns a mutant that says something else than what it means.
func answer(f func(op *ratelimit.Op)) func(ratelimit.Store, *manual) storeFunc {
	return func(s ratelimit.Store, _ *manual) storeFunc {
		return func(ctx context.Context, ops []ratelimit.Op) error {
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

// refused reports whether ops were refused.
func refused(ops []ratelimit.Op) bool {
	for _, op := range ops {
		if op.Kind == ratelimit.OpTake && !op.Result.Allowed {
			return true
		}
	}
	return false
}

func limit(rule string, index int, l ratelimit.Limit) *ratelimit.NamedLimit {
	n, err := ratelimit.NameLimit(rule, index, l)
	if err != nil {
		panic(err)
	}
	return n
}
