// Package storetest tests implementations of [ratelimit.Store].
//
// [Run] puts a store through a case for each sentence of the contract. A failure
// prints that sentence. Call it from a test of your own:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, storetest.Harness{
//			New: func(t testing.TB) ratelimit.Store { return mystore.New() },
//		})
//	}
//
// [Exact] and [Reference] are two slow and simple stores for comparison: the one
// counts in rational numbers, the other is made of limiters of golang.org/x/time/rate.
package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/ratelimit-go/ratelimit"
)

// Harness says how to make the store that is to be tested, and how time goes by for
// it. Only New is required.
//
// The zero values of the other fields are for a store that reads the time from
// [time.Now] and runs in a bubble of [synctest.Test], which Around should then
// say. A store that runs in real time must set Resolution.
type Harness struct {
	_ [0]func() // not comparable, and no literals without field names

	// New returns an empty store. It is called once for each case, inside Around.
	// What has to be cleaned up, it should hand to t.Cleanup.
	New func(t testing.TB) ratelimit.Store

	// Advance lets d go by on the store's clock. Nil means [time.Sleep].
	Advance func(d time.Duration)

	// Rewind sets the store's clock back by d. Nil means that this is impossible,
	// and the cases that need it are not run.
	Rewind func(d time.Duration)

	// Stall makes the servers of the store that New returned last stop answering, without closing
	// connections, as SIGSTOP does, until resume is called. Nil means that there are
	// none, and the case that needs it is not run.
	Stall func() (resume func())

	// Around runs one case by calling f. [synctest.Test] will do, for a store that
	// needs nothing but memory. Nil means to call f as it is.
	Around func(t *testing.T, f func(t *testing.T))

	// Resolution is the error of the store's measuring of time: the steps of its clock,
	// and what is lost in rounding and calculation. A store in real time should
	// say at least a millisecond.
	//
	// Zero means that nothing is lost and that the clock stands still but for
	// Advance: Results must be right to the nanosecond, and cases let years go by.
	//
	// Otherwise the clock may run by itself. Cases let no more than a few seconds go
	// by in all, and allow for the time that they have taken. One that was kept
	// waiting for so long that it proves nothing is skipped.
	Resolution time.Duration
}

// Run tests the store of h, each case in a subtest with a store of its own. They run
// one after another. A deadlock in the store is found by the time limit of go test.
func Run(t *testing.T, h Harness) {
	t.Helper()
	h.runAll(t, h.cases())
}

func (h Harness) runAll(t *testing.T, cases []testCase) {
	t.Helper()
	if h.New == nil {
		t.Fatal("storetest: Harness.New is nil: want a function that returns an empty store")
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			if h.Around == nil {
				h.run(t, tc)
				return
			}
			// t.Run is not allowed in a bubble, so each case has its own.
			h.Around(t, func(t *testing.T) { h.run(t, tc) })
		})
	}
}

// A testCase tests one sentence of the contract.
type testCase struct {
	name string
	rule string // the sentence
	run  func(*check)
}

func (h Harness) cases() []testCase {
	cases := slices.Concat(
		takeCases(), creditCases(), drainCases(), batchCases(), waitCases(), identityCases(), changeCases(),
		errorCases(), concurrencyCases(), randomCases(),
	)
	if h.Rewind != nil {
		cases = append(cases, rewindCases()...)
	}
	if h.Stall != nil {
		cases = append(cases, stallCases()...)
	}
	return cases
}

// run runs one case. Only Helper, Cleanup, Logf, Fatalf and Skipf of t are used.
func (h Harness) run(t testing.TB, tc testCase) {
	t.Helper()
	c := &check{TB: t, h: h, rule: tc.rule, store: h.New(t)}
	if c.store == nil {
		t.Fatalf("storetest: Harness.New returned nil")
	}
	c.restart()
	tc.run(c)
}
