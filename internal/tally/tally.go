// Package tally counts requests by rule and outcome.
package tally

import (
	"sync/atomic"

	"github.com/ratelimit-go/ratelimit/stats"
)

// An Outcome is how a request ended under a rule.
type Outcome int

// The outcomes. Each but Allowed is a denial.
const (
	Allowed Outcome = iota
	Limit
	ExceedsBurst
	Blocked
	NoKey
	InFlight
	Capacity
	Store
	Denied
	Unknown // never used, unless a reason is added and forgotten here
	outcomes
)

var names = [outcomes]string{
	"allowed",
	"limit", "exceeds-burst", "blocked", "no-key", "in-flight", "capacity", "store", "denied", "unknown",
}

// OutcomeOf returns the Outcome of a denial for this reason.
func OutcomeOf(reason string) Outcome {
	for o := Limit; o < Unknown; o++ {
		if names[o] == reason {
			return o
		}
	}
	return Unknown
}

// Outcomes counts by Outcome. It is safe for concurrent use.
type Outcomes [outcomes]atomic.Int64

// Add counts a request that ended so.
func (t *Outcomes) Add(o Outcome) { t[o].Add(1) }

// Denied returns the denials by reason. Reasons without a denial are absent.
func (t *Outcomes) Denied() map[string]int64 {
	counts := map[string]int64{}
	for o := Limit; o < outcomes; o++ {
		if n := t[o].Load(); n > 0 {
			counts[names[o]] = n
		}
	}
	return counts
}

// A Rule counts under one rule. It is safe for concurrent use.
type Rule struct {
	Outcomes
	Near, DryRun, Blocks, Held, Refunded atomic.Int64
}

// Fill sets the counters of s.
func (r *Rule) Fill(s *stats.Rule) {
	s.Allowed, s.Denied = r.Outcomes[Allowed].Load(), r.Outcomes.Denied()
	s.NearLimit, s.DryRun, s.Blocks = r.Near.Load(), r.DryRun.Load(), r.Blocks.Load()
	s.Held, s.Refunded = r.Held.Load(), r.Refunded.Load()
}

// A Cache collects counts of one Rule at a time under a lock that its user holds anyway. An atomic
// counter instead would add a tenth to a decision in memory (BenchmarkTake).
type Cache struct {
	rule *Rule
	n    [ExceedsBurst + 1]int64
}

// Add counts an outcome of r, which is at most ExceedsBurst.
func (c *Cache) Add(r *Rule, o Outcome) {
	if c.rule != r {
		c.Flush()
		c.rule = r
	}
	c.n[o]++
}

// Flush moves the counts to their Rule.
func (c *Cache) Flush() {
	for o, n := range c.n {
		if n > 0 {
			c.rule.Outcomes[o].Add(n)
		}
	}
	c.n = [len(c.n)]int64{}
}
