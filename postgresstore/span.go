package postgresstore

import (
	"math"
	"math/bits"
	"time"

	"github.com/ratelimit-go/ratelimit/store"
)

// A pace is a count of tokens per period of nanoseconds, in lowest terms.
type pace struct{ count, period int64 }

// A span is a time of ns nanoseconds and frac/count more, for the count of some pace.
type span struct{ ns, frac int64 }

// maxSpan is the longest time that a server counts with: two of them and an instant of today are
// less than 2^63. No bucket takes as long to fill.
const maxSpan = 4_000_000_000_000_000_000

func paceOf(l *store.Limit) pace {
	a, b := l.Count(), int64(l.Period())
	for b != 0 {
		a, b = b, a%b
	}
	return pace{l.Count() / a, int64(l.Period()) / a}
}

// timeOf returns the time that n tokens take, or maxSpan if that is less.
func (p pace) timeOf(n int64) span {
	hi, lo := bits.Mul64(uint64(n), uint64(p.period))
	if hi >= uint64(p.count) {
		return span{ns: maxSpan}
	}
	ns, frac := bits.Div64(hi, lo, uint64(p.count))
	if ns >= maxSpan {
		return span{ns: maxSpan}
	}
	return span{int64(ns), int64(frac)}
}

// left returns how many whole tokens a bucket with this debt has, of burst.
func (p pace) left(debt span, burst int64) int64 {
	fill := p.timeOf(burst)
	ns, frac := fill.ns-debt.ns, fill.frac-debt.frac
	if frac < 0 {
		ns, frac = ns-1, frac+p.count
	}
	if ns < 0 {
		return 0
	}
	hi, lo := bits.Mul64(uint64(ns), uint64(p.count))
	lo, carry := bits.Add64(lo, uint64(frac), 0)
	if hi += carry; hi >= uint64(p.period) {
		return math.MaxInt64 // not a time that a bucket takes
	}
	n, _ := bits.Div64(hi, lo, uint64(p.period))
	return int64(n)
}

// ceil returns s, rounded up to a whole nanosecond.
func (s span) ceil() time.Duration {
	if s.frac > 0 {
		return time.Duration(s.ns + 1)
	}
	return time.Duration(s.ns)
}
