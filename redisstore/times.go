package redisstore

import (
	"encoding/binary"
	"math"
	"math/bits"
	"time"

	"github.com/ratelimit-go/ratelimit"
)

// The script adds and compares, in doubles, which are exact for whole numbers below 2^53.
// All multiplication and division is here, in integers of 128 bits.
//
// Times are whole microseconds, as the server's clock is, and a numerator over the
// denominator of the time that one token takes.

// No limit takes longer than 100 years to fill (package ratelimit refuses it), so no instant
// is beyond 2^53 microseconds before the year 2155.

// span is a time of us + frac/den microseconds, for the den of some pace.
type span struct{ us, frac int64 }

// pace is the time that one token takes, num/den microseconds in lowest terms.
type pace struct{ num, den int64 }

// terms is a limit as the script needs it.
type terms struct {
	pace
	burst int64
	fill  span // the time burst tokens take
}

func termsOf(l ratelimit.Limit) terms {
	// Count tokens take Period nanoseconds, so one takes Period/(1000*Count) microseconds.
	num, den := int64(l.Period), l.Count
	g := gcd(num, den)
	num, den = num/g, den/g
	k := gcd(num, 1000)
	num, den = num/k, den*(1000/k) // den was below 2^32
	t := terms{pace: pace{num, den}, burst: l.Burst}
	t.fill = t.timeOf(l.Burst)
	return t
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// timeOf returns the time that n tokens take, n being at most the burst.
func (p pace) timeOf(n int64) span {
	hi, lo := bits.Mul64(uint64(n), uint64(p.num))
	us, frac := bits.Div64(hi, lo, uint64(p.den))
	return span{int64(us), int64(frac)}
}

// tokens returns how many whole tokens s is worth.
func (p pace) tokens(s span) int64 {
	hi, lo := bits.Mul64(uint64(s.us), uint64(p.den))
	lo, carry := bits.Add64(lo, uint64(s.frac), 0)
	n, _ := bits.Div64(hi+carry, lo, uint64(p.num)) // at most burst, so it fits
	return int64(n)
}

// minus returns a-b, which must not be negative.
func (p pace) minus(a, b span) span {
	if a.frac >= b.frac {
		return span{a.us - b.us, a.frac - b.frac}
	}
	return span{a.us - b.us - 1, a.frac + p.den - b.frac}
}

func (p pace) plus(a, b span) span {
	s := span{a.us + b.us, a.frac + b.frac}
	if s.frac >= p.den {
		s.us, s.frac = s.us+1, s.frac-p.den
	}
	return s
}

// duration returns s rounded up to a whole nanosecond.
func (p pace) duration(s span) time.Duration {
	hi, lo := bits.Mul64(uint64(s.frac), 1000)
	ns, rest := bits.Div64(hi, lo, uint64(p.den)) // frac < den, so it fits
	if rest > 0 {
		ns++
	}
	return time.Duration(s.us*1000 + int64(ns))
}

// The kinds of a take and a peek of more than the bucket can ever hold.
const (
	neverTake = -1
	neverPeek = -2
)

// appendOp appends the eight numbers that the script reads of op. The first op of the batch on
// the same bucket is the first-th, counted from 0.
func (t *terms) appendOp(b []byte, op *ratelimit.Op, first int) []byte {
	kind, cost := float64(op.Kind), span{}
	switch {
	case op.Kind == ratelimit.OpReset:
	case op.Cost <= t.burst:
		cost = t.timeOf(op.Cost)
	case op.Kind == ratelimit.OpCredit:
		cost = t.fill // no debt is more
	case op.Kind == ratelimit.OpTake:
		kind = neverTake
	default:
		kind = neverPeek
	}
	for _, x := range [...]float64{
		kind, float64(cost.us), float64(cost.frac), float64(t.num) / float64(t.den), float64(t.den),
		float64(t.fill.us), float64(t.fill.frac), float64(first + 1),
	} {
		b = binary.BigEndian.AppendUint64(b, math.Float64bits(x))
	}
	return b
}

// replySize is the length of what the script says of one op.
const replySize = 5 * 8

// result returns the Result of op from what the script says of it.
func (t *terms) result(op *ratelimit.Op, reply string) ratelimit.Result {
	var n [5]int64
	for i := range n {
		n[i] = int64(math.Float64frombits(binary.BigEndian.Uint64([]byte(reply[8*i : 8*i+8]))))
	}
	found, left := span{n[1], n[2]}, span{n[3], n[4]}
	r := ratelimit.Result{
		Allowed:    n[0] == 1,
		Remaining:  t.tokens(t.minus(t.fill, left)),
		ResetAfter: t.duration(left),
	}
	switch {
	case r.Allowed:
	case op.Cost > t.burst:
		r.Never = true
	default:
		r.RetryAfter = t.duration(t.minus(t.plus(found, t.timeOf(op.Cost)), t.fill))
	}
	return r
}
