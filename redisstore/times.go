package redisstore

import (
	"encoding/binary"
	"math"
	"math/bits"
	"time"

	"github.com/ratelimit-go/ratelimit/store"
)

// The script counts time in ticks: den ticks are a microsecond, and num ticks are the time of a
// token. Lua has only doubles, which are exact for whole numbers below 2^53. So a bucket may take
// at most maxFill ticks to fill, which leaves room for the sum of two.
const maxFill = 1 << 52

// maxBurst is the size of the largest bucket. It leaves a tick per token for a limit that takes 100
// years to fill, which is the most that package store accepts.
const maxBurst = 1 << 48

// terms is a limit as the script needs it.
type terms struct {
	num, den int64
	burst    int64
}

// termsOf returns l in ticks. They are exact if the bucket takes at most maxFill ticks to fill. If
// not, a token takes longer than it should, by less than Burst/2^50 of its time, so the limit
// allows less. The burst must be at most maxBurst.
func termsOf(l *store.Limit) terms {
	// Count tokens take Period nanoseconds, so one takes Period/(1000*Count) microseconds.
	num, den, burst := int64(l.Period()), l.Count(), l.Burst()
	g := gcd(num, den)
	num, den = num/g, den/g
	g = gcd(num, 1000)
	num, den = num/g, den*(1000/g) // den was below 2^32
	if hi, lo := bits.Mul64(uint64(burst), uint64(num)); hi > 0 || lo > maxFill {
		us, _ := bits.Div64(hi, lo, uint64(den)) // a bucket fills in 100 years, so this fits
		coarse := (maxFill - burst) / (int64(us) + 1)
		hi, lo = bits.Mul64(uint64(num), uint64(coarse))
		q, rest := bits.Div64(hi, lo, uint64(den))
		num, den = int64(q), coarse
		if rest > 0 {
			num++
		}
	}
	return terms{num: num, den: den, burst: burst}
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

func (t *terms) fill() int64 { return t.burst * t.num }

// remaining returns how many whole tokens a bucket with this debt has left.
func (t *terms) remaining(debt int64) int64 { return max(0, (t.fill()-debt)/t.num) }

// duration returns the time of ticks, rounded up to a whole nanosecond.
func (t *terms) duration(ticks int64) time.Duration {
	us, rest := ticks/t.den, ticks%t.den
	return time.Duration(us*1000 + (rest*1000+t.den-1)/t.den)
}

// The kinds, for the script, of a Take and a Peek whose cost exceeds the burst.
const (
	exceedingTake = 5
	exceedingPeek = 6
)

// leads is added to the kind of an op that charges a rule as a whole: see [store.Carry].
const leads = 8

// bursts has, for the script, the least burst of each class of limits from 1 on. Versions of a rule
// count each other by it. The script has the same list.
var bursts = [...]int64{5, 10, 20, 50, 100, 200, 500, 1000, 5000, 20_000, 100_000}

// class returns the class of a burst, or 0 if it has none.
func class(burst int64) (n int) {
	for n < len(bursts) && burst >= bursts[n] {
		n++
	}
	return n
}

// opSize is how many bytes the script reads per op.
const opSize = 3 + 2*2 + 4*8

// place says which bucket an op is on. See apply.lua.
type place struct{ limit, key, bucket int }

// appendOp appends the nine numbers that the script reads of op.
func (t *terms) appendOp(b []byte, op *store.Op, p place) []byte {
	kind, cost := byte(op.Kind), int64(0)
	switch {
	case op.Kind == store.Reset:
	case op.Cost <= t.burst:
		cost = op.Cost * t.num
	case op.Kind == store.Take:
		kind = exceedingTake
	case op.Kind == store.Peek:
		kind = exceedingPeek
	default:
		cost = t.fill() // no debt is more
	}
	if op.Limit.Index() == 0 && op.Limit.IsVersioned() {
		kind += leads
	}
	b = append(b, kind, byte(class(t.burst)), byte(p.limit))
	b = binary.BigEndian.AppendUint16(b, uint16(p.key))
	b = binary.BigEndian.AppendUint16(b, uint16(p.bucket))
	for _, x := range [...]int64{cost, t.num, t.den, t.fill()} {
		b = binary.BigEndian.AppendUint64(b, math.Float64bits(float64(x)))
	}
	return b
}

// replySize is how many bytes the script replies per op.
const replySize = 2 * 8

// result returns the Result of op from the reply of the script: the debt before op, and the debt
// after the batch.
func (t *terms) result(op *store.Op, reply string) store.Result {
	found, left := number(reply), number(reply[8:])
	r := store.Result{Allowed: true, Remaining: t.remaining(left), ResetAfter: t.duration(left)}
	if op.Kind != store.Take && op.Kind != store.Peek {
		return r
	}
	if op.Cost > t.burst {
		r.Allowed, r.ExceedsBurst = false, true
	} else if over := found + op.Cost*t.num - t.fill(); over > 0 && op.Cost > 0 {
		r.Allowed, r.RetryAfter = false, t.duration(over)
	}
	return r
}

// number reads the double at the beginning of s, which is a whole number.
func number(s string) int64 {
	return int64(math.Float64frombits(binary.BigEndian.Uint64([]byte(s[:8]))))
}
