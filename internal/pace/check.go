package pace

import (
	"fmt"
	"math"
	"math/bits"
	"time"
)

// MaxFill is the longest time that a bucket may take to fill. It is also the longest time that a
// store remembers anything.
const MaxFill = 100 * 365 * 24 * time.Hour

// Check reports why a bucket of burst tokens, filled with count tokens per period, cannot be kept:
// the numbers mean nothing, or the arithmetic cannot keep them exactly. A burst of 0 means count.
// The error has no prefix. It says what would be right.
func Check(count int64, period time.Duration, burst int64) error {
	switch {
	case count < 1:
		return fmt.Errorf("count %d: want at least 1", count)
	case period <= 0:
		return fmt.Errorf("period %v: want a positive time", period)
	case burst < 0:
		return fmt.Errorf("burst %d: want at least 1, or 0 for the same as the count", burst)
	case period > MaxFill:
		return fmt.Errorf("period %v: want at most 100 years", period)
	}
	n, ns := reduced(count, period)
	if n > math.MaxUint32 {
		return fmt.Errorf("%d per %v cannot be kept exactly: want a rounder number, such as %d",
			count, period, rounder(count, period))
	}
	if burst == 0 {
		burst = count
	}
	hi, lo := bits.Mul64(uint64(burst), uint64(ns))
	if hi < uint64(n) {
		if fill, _ := bits.Div64(hi, lo, uint64(n)); fill <= uint64(MaxFill) {
			return nil
		}
	}
	return fmt.Errorf("a bucket of %d takes more than 100 years to fill: want a smaller burst", burst)
}

// A bucket of fewer tokens than mostFew that is full again in less than leastFill denies nothing.
const (
	leastFill = 5 * time.Microsecond
	mostFew   = 1_000_000
)

// CheckFill reports that l, which [Check] accepts, denies nothing, because its few tokens are there
// again at once. Its period lacks a unit: 60 is 60 ns. It says nothing about other numbers.
func CheckFill(l Limit) error {
	if l.check() != nil || max(l.Count, l.Full()) > mostFew {
		return nil
	}
	if fill := Of(l.Count, l.Period).TimeOf(l.Full()).Ceil(); fill < leastFill {
		return fmt.Errorf("%d per %v: a bucket that is full again in %v denies nothing: "+
			"want a period with a unit, such as time.Minute", l.Count, l.Period, fill)
	}
	return nil
}

// exact reports whether count per period, in lowest terms, has a count below 2^32.
func exact(count int64, period time.Duration) bool {
	n, _ := reduced(count, period)
	return n <= math.MaxUint32
}

// rounder returns a count that can be kept exactly and shares as many leading digits with count as
// possible. If no such count exists, it returns the greatest count that can be kept.
func rounder(count int64, period time.Duration) int64 {
	for unit := int64(10); unit <= count; unit *= 10 {
		if near := count / unit * unit; exact(near, period) {
			return near
		}
		if unit > math.MaxInt64/10 {
			break
		}
	}
	return math.MaxUint32
}
