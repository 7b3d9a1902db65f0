package storetest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/storetest"
)

// manual is a clock that stands still.
type manual struct{ now time.Time }

func newManual() *manual { return &manual{now: time.Unix(1_700_000_000, 0)} }

func (m *manual) Now() time.Time          { return m.now }
func (m *manual) Advance(d time.Duration) { m.now = m.now.Add(d) }
func (m *manual) Rewind(d time.Duration)  { m.now = m.now.Add(-d) }

// harness returns the Harness of the stores that newStore makes, on a clock of their own.
func harness(newStore func(*manual) ratelimit.Store) storetest.Harness {
	clock := newManual()
	return storetest.Harness{
		New:     func(testing.TB) ratelimit.Store { return newStore(clock) },
		Advance: clock.Advance,
		Rewind:  clock.Rewind,
	}
}

func TestExact(t *testing.T) {
	storetest.Run(t, harness(func(m *manual) ratelimit.Store { return storetest.NewExact(m.Now) }))
}

func TestExactReadsTheSystemClock(t *testing.T) {
	storetest.Run(t, storetest.Harness{
		New:    func(testing.TB) ratelimit.Store { return storetest.NewExact(nil) },
		Around: synctest.Test,
	})
}

func TestReference(t *testing.T) {
	h := harness(func(m *manual) ratelimit.Store { return storetest.NewReference(m.Now) })
	h.Resolution = time.Microsecond
	storetest.Run(t, h)
}

func TestMemoryStore(t *testing.T) {
	for name, keys := range map[string]int{"many shards": 0, "few shards": 2000} {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, storetest.Harness{
				New: func(testing.TB) ratelimit.Store {
					return ratelimit.NewMemoryStore(ratelimit.MemoryConfig{MaxKeys: keys})
				},
				Around: synctest.Test,
			})
		})
	}
}

// A store that has nothing but real time passes as well, within seconds.
func TestRealTime(t *testing.T) {
	if testing.Short() {
		t.Skip("waits in real time")
	}
	storetest.Run(t, storetest.Harness{
		New:        func(testing.TB) ratelimit.Store { return storetest.NewExact(nil) },
		Resolution: time.Millisecond,
	})
}

func TestRewindIsListedOnlyWhereItIsPossible(t *testing.T) {
	h := harness(func(m *manual) ratelimit.Store { return storetest.NewExact(m.Now) })
	with := storetest.CaseNames(h)
	h.Rewind = nil
	without := storetest.CaseNames(h)
	assert.Subset(t, with, without)
	assert.Len(t, with, len(without)+3)
}

func TestEachCaseHasANameAndARule(t *testing.T) {
	h := harness(func(m *manual) ratelimit.Store { return storetest.NewExact(m.Now) })
	rules := storetest.Rules(h)
	assert.Len(t, rules, len(storetest.CaseNames(h)), "two cases have the same name")
	for name, rule := range rules {
		assert.NotEmpty(t, rule, name)
	}
}
