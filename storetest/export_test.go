package storetest

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"testing"
)

// Failures runs those cases of h that have one of names, or all if there are no names. It ignores
// Around. It returns the messages of the cases that failed, by their names.
func Failures(t testing.TB, h Harness, names ...string) map[string]string {
	return h.failures(t, slices.DeleteFunc(h.cases(), func(tc testCase) bool {
		return len(names) > 0 && !slices.Contains(names, tc.name)
	}))
}

// FailedLeaseCases returns the names of the cases of RunLeases that fail.
func FailedLeaseCases(t testing.TB, h Harness) []string {
	return slices.Collect(maps.Keys(h.failures(t, leaseCases())))
}

func (h Harness) failures(t testing.TB, cases []testCase) map[string]string {
	failed := make(map[string]string)
	for _, tc := range cases {
		r := &recorder{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			h.run(r, tc)
		}()
		<-done
		if r.failure != "" {
			failed[tc.name] = r.failure
		}
	}
	return failed
}

// A recorder is a testing.TB that keeps the message with which a case ends.
type recorder struct {
	testing.TB
	failure string
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.failure = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Skipf(format string, args ...any) {
	r.Fatalf("skipped: "+format, args...)
}

// CaseNames returns the names of all cases of h.
func CaseNames(h Harness) []string {
	var names []string
	for _, tc := range h.cases() {
		names = append(names, tc.name)
	}
	return names
}

// Rules returns the sentences that the cases of h check, by the names of the cases.
func Rules(h Harness) map[string]string {
	rules := make(map[string]string)
	for _, tc := range h.cases() {
		rules[tc.name] = tc.rule
	}
	return rules
}
