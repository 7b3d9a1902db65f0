// Package storetest tests implementations of [store.Store].
//
// [Run] tests a store against the contract, sentence by sentence. A failure prints the sentence.
// Call Run from a test of your store:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, storetest.Harness{
//			New:    func(testing.TB) store.Store { return mystore.New() },
//			Around: synctest.Test,
//		})
//	}
//
// In a bubble of [synctest.Test], the cases wait for years in no time. A store behind a network
// runs in real time instead, see [Harness].
//
// [RunLeases] does the same for a [store.Leaser].
//
// [Exact] and [Reference] are two slow and simple stores to compare with. Exact counts in rational
// numbers. Reference is built from limiters of golang.org/x/time/rate. [Leases] is a slow and
// simple Leaser.
package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/ratelimit-go/ratelimit/store"
)

// Harness says how to make the store under test, and how time passes for it. Only New is required.
//
// A store that needs nothing outside its process, and reads [time.Now], sets Around to
// [synctest.Test]. A store with a clock of its own sets Advance. A store that runs in real time
// sets Resolution: without it, cases sleep for years.
type Harness struct {
	_ [0]func() // not comparable, and no literals without field names

	// New returns an empty store. Run calls it once for each case, inside Around. New passes its
	// cleanup to t.Cleanup.
	New func(t testing.TB) store.Store

	// Advance lets d pass on the store's clock. Nil means [time.Sleep].
	Advance func(d time.Duration)

	// Rewind sets the store's clock back by d. If it is nil, Run leaves out the cases that need it.
	Rewind func(d time.Duration)

	// Stall stops the servers of the last store that New returned, as SIGSTOP does: connections
	// stay open and get no answers until resume is called. If Stall is nil, Run leaves out the case
	// that needs it.
	Stall func() (resume func())

	// Around runs one case by calling f. Nil means to call f directly.
	Around func(t *testing.T, f func(t *testing.T))

	// Resolution is the error of the store's measuring of time: the steps of its clock, and the
	// losses by rounding. A store in real time should set at least a millisecond.
	//
	// Zero means that nothing is lost, and that the clock moves only by Advance. Results must then
	// be right to the nanosecond, and cases let years pass.
	//
	// Otherwise the clock may run by itself. A case lets only a few seconds pass, and allows for
	// the time that it took. A case that was too slow to prove anything is skipped.
	Resolution time.Duration
}

// Run tests the store of h. Each case is a subtest with a store of its own. Cases run one after
// another. A deadlock in the store ends by the time limit of go test.
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
			// t.Run is not allowed in a bubble of synctest, so each case has its own bubble.
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
		takeCases(), refundCases(), takeUpToCases(), batchCases(), waitCases(), identityCases(),
		changeCases(), errorCases(), concurrencyCases(), randomCases(),
	)
	if h.Rewind != nil {
		cases = append(cases, rewindCases()...)
	}
	if h.Stall != nil {
		cases = append(cases, stallCases()...)
	}
	return cases
}

// run runs one case. It uses only Helper, Cleanup, Logf, Fatalf and Skipf of t.
func (h Harness) run(t testing.TB, tc testCase) {
	t.Helper()
	c := &check{TB: t, h: h, rule: tc.rule, store: h.New(t)}
	if c.store == nil {
		t.Fatalf("storetest: Harness.New returned nil")
	}
	c.restart()
	tc.run(c)
}
