// Package stats has the counters of a limiter, as exporters of metrics and pages read them.
//
//	for _, rule := range limiter.Stats().Rules {
//		fmt.Println(rule.Name, rule.Allowed, rule.Denied["limit"])
//	}
//
// Counters only grow while a limiter lives. Gauges, such as InFlight, also fall. No value contains
// a key or anything else that a client has chosen, so all are safe as labels.
package stats

import (
	"time"

	"github.com/ratelimit-go/ratelimit/store"
)

// A Snapshot is the counters of one limiter in one process. They are read one after another, not at
// one instant. The caller owns the slices and maps.
type Snapshot struct {
	// Rules are the rules and budgets in force, by name. The counts of a name survive a new policy
	// that has a rule of this name.
	Rules []Rule
	// NearShare is the part of a burst that is little: a request that leaves less counts for
	// NearLimit of its rules. It is the NearLimit of the limiter's Config, or 0.2 by default.
	NearShare float64
	// Denied is the number of requests that were denied by no rule, by reason: "denied" for the
	// deny list, and "store" if the store failed. Reasons without a request are absent.
	Denied map[string]int64
	// Store counts calls of a store that can fail. If the limiter counts in memory only, its State
	// is [store.Up] and the rest is zero.
	Store Store
	// Memory is about the buckets in this process: of the limiter's store if that is in memory, and
	// otherwise of the buckets that decide while the store fails.
	Memory Memory
}

// A Rule is what one rule or budget has counted. Units are requests, or decisions for callers of
// the limiter's method Take. A request that several rules allow counts under each of them. A
// request that is denied counts once, under the rule whose Retry-After it got.
type Rule struct {
	Name   string // of the rule or budget
	Limits string // as text, such as "100 per minute; 1000 per day"
	Mode   string // as text, such as "enforce", or "off" while the whole limiter is switched off

	// CanBlock reports that keys can be blocked under the rule, because it has a Block.
	CanBlock bool
	// MaxInFlight is how many requests of one key may be in flight. Zero means any number.
	MaxInFlight int64

	// Allowed is the number of requests that the rule applied to and that were allowed.
	Allowed int64
	// NearLimit is how many of Allowed have left less than the NearShare of a burst. It grows
	// before the first client is denied.
	NearLimit int64
	// Denied is the number of denied requests by reason, such as "limit" or "blocked". Reasons
	// without a request are absent.
	Denied map[string]int64
	// DryRun is how many of Allowed the rule would have denied, if it were not in a dry run.
	DryRun int64
	// Blocks is the number of blocks that began, also by hand.
	Blocks int64
	// Held is the number of requests that were held until their tokens were there.
	Held int64
	// Refunded is the number of requests that cost nothing in the end: an inner limiter denied
	// them, or their response did not count.
	Refunded int64

	// InFlight is the number of requests in flight now, if the rule bounds them.
	InFlight int64
	// Waiting is the number of requests held now.
	Waiting int64
}

// A Store is the state of a store that can fail, and counts of calls: see docs/operating.md.
type Store struct {
	// State says whether the limiter calls the store.
	State store.State
	// Answered is the number of calls that the store has decided.
	Answered int64
	// CachedDenials is the number of calls that were denied without a call of the store, because it
	// had denied the same and the wait was not over.
	CachedDenials int64
	// FailedOpen, FailedClosed and FailedToMemory are the numbers of calls that the store did not
	// decide, by what decided instead.
	FailedOpen, FailedClosed, FailedToMemory int64
	// Failures is the number of failures by reason. Reasons without a failure are absent.
	Failures map[store.Reason]int64
	// Changes is how often the store came into each state. Other states are absent.
	Changes map[store.State]int64
	// Calls is how long calls of the store took, whether they succeeded or not.
	Calls Durations
}

// Durations is a histogram of times.
type Durations struct {
	Count   int64         // of all times
	Sum     time.Duration // of all times
	Buckets []Bucket      // by Most, ascending; the last bucket that counts everything is left out
}

// A Bucket counts the times up to Most, including the times in smaller buckets.
type Bucket struct {
	Most  time.Duration // bound of the bucket
	Count int64         // of times up to Most
}

// Memory is about token buckets in the memory of one process.
type Memory struct {
	// Keys is the number of buckets held, including full buckets that may be forgotten.
	Keys int
	// MaxKeys is how many buckets are held at most.
	MaxKeys int
	// Overflowed is the number of decisions on keys without room. If it grows, clients are
	// inventing keys, or MaxKeys is too small.
	Overflowed int64
}
