// Package blocks has the buckets that say a key is blocked, and a bounded map of the blocks that an
// instance knows.
//
// [Compile] turns the [Policy] of a rule into [Buckets], which make the ops for a store. All
// instances share the buckets, so they block a key together. An instance remembers the answers in a
// [Known], so that denying a blocked key needs no call of the store.
package blocks

import (
	"fmt"
	"time"
)

// A Policy says when a key is blocked, and for how long. The zero Policy blocks no key by itself.
type Policy struct {
	// A token bucket of AfterBurst tokens counts the violations of a key: requests that the rule
	// denies, and responses that count as such. AfterCount tokens flow in per AfterPeriod. The
	// violation that takes the last token blocks the key, and the bucket is then full again. If
	// AfterCount is 0, no number of violations blocks. If AfterBurst is 0, it means AfterCount.
	AfterCount  int64
	AfterPeriod time.Duration
	AfterBurst  int64

	// For is the length of the first block. Each further block is twice as long as the one before.
	// Zero means a minute. All times here are rounded up to milliseconds.
	For time.Duration
	// Max is the length of the longest block. Zero means an hour, or For if that is more.
	Max time.Duration
	// Forget is the time after which one block of a key is forgotten, so that the next block is
	// half as long. It does not pass while the key is blocked. Zero means a day.
	Forget time.Duration
}

const day = 24 * time.Hour

// The bounds of the times of a [Policy].
const (
	MaxFor    = 365 * day // the longest block
	MaxForget = 90 * day
	minTime   = time.Second

	leastPeriod = 5 * time.Microsecond // no client violates a rule so often
	mostFew     = 1_000_000            // violations
)

// A Mistake is a field of a [Policy] that has no meaning.
type Mistake struct {
	Field string // such as "For"
	Err   error
}

// Check returns the mistakes in For, Max and Forget. The caller checks the numbers of violations:
// store.NewLimit must accept AfterCount, AfterPeriod and AfterBurst.
func (p Policy) Check() []Mistake {
	var all []Mistake
	add := func(field, format string, args ...any) {
		all = append(all, Mistake{Field: field, Err: fmt.Errorf(format, args...)})
	}
	for _, d := range []struct {
		field       string
		value, most time.Duration
	}{{"For", p.For, MaxFor}, {"Max", p.Max, MaxFor}, {"Forget", p.Forget, MaxForget}} {
		if d.value != 0 && (d.value < minTime || d.value > d.most) {
			add(d.field, "%v: want a second to %d days, or 0 for the usual", d.value, d.most/day)
		}
	}
	if n := p.AfterCount; n > 0 && n <= mostFew && p.AfterPeriod > 0 && p.AfterPeriod < leastPeriod {
		add("After", "%d per %v blocks no key: want a period with a unit, such as time.Minute",
			p.AfterCount, p.AfterPeriod)
	}
	if first := p.filled().For; p.Max != 0 && p.Max < first {
		add("Max", "%v: want at least For, which is %v", p.Max, first)
	}
	if len(all) == 0 && p.AfterCount == 0 && (p.For != 0 || p.Max != 0 || p.Forget != 0) {
		add("After", "no number of violations that blocks, so that its times mean nothing: "+
			"want for example Per(10, time.Minute)")
	}
	return all
}

// filled returns p with the usual times instead of zeros, and all times in whole milliseconds.
func (p Policy) filled() Policy {
	if p.For == 0 {
		p.For = time.Minute
	}
	if p.Max == 0 {
		p.Max = max(time.Hour, p.For)
	}
	if p.Forget == 0 {
		p.Forget = day
	}
	p.For, p.Max, p.Forget = Round(p.For), Round(p.Max), Round(p.Forget)
	return p
}

// Round returns d rounded up to whole milliseconds, in which the buckets keep times.
func Round(d time.Duration) time.Duration { return time.Duration(millis(d)) * time.Millisecond }

func millis(d time.Duration) int64 { return int64((d + time.Millisecond - 1) / time.Millisecond) }
