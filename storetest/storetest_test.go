package storetest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/ratelimit-go/ratelimit/internal/memory"
	"github.com/ratelimit-go/ratelimit/store"
	"github.com/ratelimit-go/ratelimit/storetest"
)

func TestExact(t *testing.T) {
	t.Parallel()
	storetest.Run(t, harness(func(m *manual) store.Store { return storetest.NewExact(m.Now) }))
}

func TestReference(t *testing.T) {
	t.Parallel()
	h := harness(func(m *manual) store.Store { return storetest.NewReference(m.Now) })
	h.Resolution = time.Microsecond
	storetest.Run(t, h)
}

func TestSystemClock(t *testing.T) {
	for name, newStore := range map[string]func() store.Store{
		"Exact":     func() store.Store { return storetest.NewExact(nil) },
		"Reference": func() store.Store { return storetest.NewReference(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := limit("r", 0, 1, time.Minute, 1)
				s := newStore()
				ops := []store.Op{{Limit: l, Key: user("a"), Cost: 1}}
				for _, want := range []bool{true, false} {
					assert.NoError(t, s.Apply(t.Context(), ops))
					assert.Equal(t, want, ops[0].Result.Allowed)
				}
				time.Sleep(time.Minute)
				assert.NoError(t, s.Apply(t.Context(), ops))
				assert.True(t, ops[0].Result.Allowed)
			})
		})
	}
}

func TestMemoryStore(t *testing.T) {
	for name, keys := range map[string]int{"many shards": memory.DefaultMaxKeys, "few shards": 2000} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, storetest.Harness{
				New:    func(testing.TB) store.Store { return memory.New(keys, nil) },
				Around: synctest.Test,
			})
		})
	}
}

// A store in real time passes as well, within seconds. The cases share no clock, so they can run at
// once.
func TestRealTime(t *testing.T) {
	if testing.Short() {
		t.Skip("waits in real time")
	}
	t.Parallel()
	storetest.Run(t, storetest.Harness{
		New:        func(testing.TB) store.Store { return storetest.NewExact(nil) },
		Resolution: time.Millisecond,
		Around: func(t *testing.T, f func(t *testing.T)) {
			t.Parallel()
			f(t)
		},
	})
}

// The rules for real time hold in fake time too, where waiting costs nothing.
func TestRealTimeWithoutWaiting(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Harness{
		New:        func(testing.TB) store.Store { return storetest.NewExact(nil) },
		Resolution: time.Millisecond,
		Around:     synctest.Test,
	})
}

func TestRewindCasesRunOnlyWithRewind(t *testing.T) {
	h := harness(func(m *manual) store.Store { return newBuckets(m.Now) })
	with := storetest.CaseNames(h)
	h.Rewind = nil
	without := storetest.CaseNames(h)
	assert.Subset(t, with, without)
	assert.Len(t, with, len(without)+3)
}

func TestEachCaseHasANameAndARule(t *testing.T) {
	h := harness(func(m *manual) store.Store { return newBuckets(m.Now) })
	rules := storetest.Rules(h)
	assert.Len(t, rules, len(storetest.CaseNames(h)), "two cases have the same name")
	for name, rule := range rules {
		assert.NotEmpty(t, rule, name)
	}
}
