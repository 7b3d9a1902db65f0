// Package pace is the exact arithmetic of one token bucket: instants, debts and rates in plain
// integers. It has no clock.
//
// A bucket is kept as the instant at which it will be full again. This is the theoretical arrival
// time of GCRA (ITU-T I.371), seen from the other end. The tokens that the bucket lacks are then a
// time, its debt. A take of n tokens adds n token times to the debt. It is allowed if the sum is at
// most the time in which the whole bucket fills.
//
// A token time is period/count nanoseconds, seldom a whole number: 3 per second is 333333333⅓. So
// a time is kept as whole nanoseconds and a numerator over count. States are never rounded. Only
// answers are.
package pace

import (
	"math/big"
	"math/bits"
	"time"
)

// A Pace is a count of tokens per period, in lowest terms. Count is also the denominator of all
// fractions of a nanosecond at this pace.
type Pace struct {
	Count  uint32
	Period int64 // nanoseconds
}

// A Span is a duration of NS + Frac/Count nanoseconds, for the Count of some Pace.
type Span struct {
	NS   int64
	Frac uint32
}

// Of returns the pace of count tokens per period. The numbers must have passed [Check].
func Of(count int64, period time.Duration) Pace {
	n, ns := reduced(count, period)
	return Pace{Count: uint32(n), Period: ns}
}

func reduced(count int64, period time.Duration) (n, ns int64) {
	a, b := count, int64(period)
	for b != 0 {
		a, b = b, a%b
	}
	return count / a, int64(period) / a
}

// TimeOf returns the time that n tokens take. It must fit: n is at most the burst of a limit that
// has passed [Check].
func (p Pace) TimeOf(n int64) Span {
	hi, lo := bits.Mul64(uint64(n), uint64(p.Period))
	ns, frac := bits.Div64(hi, lo, uint64(p.Count))
	return Span{int64(ns), uint32(frac)}
}

// BoundedTimeOf returns the time that any number of tokens take, or [MaxFill] if that is less.
func (p Pace) BoundedTimeOf(n int64) Span {
	hi, lo := bits.Mul64(uint64(n), uint64(p.Period))
	if hi < uint64(p.Count) {
		if ns, frac := bits.Div64(hi, lo, uint64(p.Count)); ns < uint64(MaxFill) {
			return Span{int64(ns), uint32(frac)}
		}
	}
	return Span{NS: int64(MaxFill)}
}

// Tokens returns how many whole tokens t is worth.
func (p Pace) Tokens(t Span) int64 {
	hi, lo := bits.Mul64(uint64(t.NS), uint64(p.Count))
	lo, carry := bits.Add64(lo, uint64(t.Frac), 0)
	if hi+carry == 0 {
		return int64(lo / uint64(p.Period))
	}
	n, _ := bits.Div64(hi+carry, lo, uint64(p.Period))
	return int64(n)
}

// Add returns a+b.
func (p Pace) Add(a, b Span) Span {
	frac := uint64(a.Frac) + uint64(b.Frac)
	if frac < uint64(p.Count) {
		return Span{a.NS + b.NS, uint32(frac)}
	}
	return Span{a.NS + b.NS + 1, uint32(frac - uint64(p.Count))}
}

// Sub returns a-b, which must not be negative.
func (p Pace) Sub(a, b Span) Span {
	if a.Frac >= b.Frac {
		return Span{a.NS - b.NS, a.Frac - b.Frac}
	}
	return Span{a.NS - b.NS - 1, uint32(uint64(a.Frac) + uint64(p.Count) - uint64(b.Frac))}
}

// Faster reports whether p gives more tokens in the same time than q.
func (p Pace) Faster(q Pace) bool {
	phi, plo := bits.Mul64(uint64(p.Count), uint64(q.Period))
	qhi, qlo := bits.Mul64(uint64(q.Count), uint64(p.Period))
	return phi > qhi || phi == qhi && plo > qlo
}

// Convert returns the time in which to gives as many tokens as from gives in t, rounded up to the
// next fraction of to. Limits change rarely, so it may be slow and allocate.
func Convert(t Span, from, to Pace) Span {
	v := big.NewInt(t.NS)
	v.Mul(v, big.NewInt(int64(from.Count)))
	v.Add(v, big.NewInt(int64(t.Frac)))
	v.Mul(v, big.NewInt(to.Period))
	v.Add(v, big.NewInt(from.Period-1))
	v.Div(v, big.NewInt(from.Period))
	ns, frac := v.QuoRem(v, big.NewInt(int64(to.Count)), new(big.Int))
	return Span{ns.Int64(), uint32(frac.Int64())}
}

// AtMost reports whether t is not longer than u. Both must be of the same pace.
func (t Span) AtMost(u Span) bool {
	return t.NS < u.NS || t.NS == u.NS && t.Frac <= u.Frac
}

// Least returns the shorter of t and u. Both must be of the same pace.
func (t Span) Least(u Span) Span {
	if t.AtMost(u) {
		return t
	}
	return u
}

// Ceil returns t rounded up to a whole nanosecond.
func (t Span) Ceil() time.Duration {
	if t.Frac > 0 {
		return time.Duration(t.NS + 1)
	}
	return time.Duration(t.NS)
}
