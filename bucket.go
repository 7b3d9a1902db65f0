package ratelimit

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/big"
	"math/bits"
	"time"
)

// The arithmetic of one token bucket: pure functions of a state, an instant and
// a limit, all in integers. There is no clock in this file.
//
// A bucket is kept as the instant at which it will be full again, which is the
// theoretical arrival time of GCRA (ITU-T I.371) seen from the other end. What is
// missing from the bucket is then a time, its debt, and a decision is an addition and
// a comparison: a take of n tokens adds n token times to the debt, and is
// allowed if the sum is at most the time that filling the whole bucket takes.
//
// A token time is period/count nanoseconds, seldom a whole number: 3 per second is
// 333333333⅓. So a time is kept as whole nanoseconds and a numerator over count.
// Nothing is ever rounded in a state; only answers are.

// A NamedLimit is one limit of one rule, checked and compiled for the arithmetic
// of its buckets. It is what an [Op] points to. It is immutable.
type NamedLimit struct {
	rule  string
	index int
	limit Limit
	extra int64 // the part of limit.Burst that is room for those who wait

	onFailure FailurePolicy // of its rule
	local     bool          // it is the part of one that this instance enforces while the store fails

	id  uint64 // names rule and index: 56 bits of a hash of rule, and index+1
	one span   // the time one token takes
	pace
	fill span // the time burst tokens take
}

// pace is a limit's count per period in lowest terms. The count is also the
// denominator of all fractions of a nanosecond under the limit.
type pace struct {
	count  uint32
	period int64 // nanoseconds
}

// span is a duration of ns + frac/count nanoseconds, for the count of some pace.
type span struct {
	ns   int64
	frac uint32
}

// bucket is the state of one bucket. The zero bucket is full.
type bucket struct {
	full int64  // when it is full again, in nanoseconds from the store's epoch
	frac uint32 // and this many 1/count nanoseconds later
	pace        // at which it fills: that of the limit which last charged it
}

// maxLimitIndex is the greatest index of a limit in its rule.
const maxLimitIndex = 253

// NameLimit returns limit as the index-th limit of the named rule, for use in an
// [Op]. It returns an error if limit is not valid, or if it is unlimited: that
// needs no bucket.
//
// [New] does this for the rules of a [Config]. Call it to use a [Store] directly.
func NameLimit(rule string, index int, limit Limit) (*NamedLimit, error) {
	if index < 0 || index > maxLimitIndex {
		return nil, fmt.Errorf("ratelimit: limit index %d of rule %q: want 0 to %d", index, rule, maxLimitIndex)
	}
	if err := limit.check(); err != nil {
		return nil, err
	}
	if limit.IsUnlimited() {
		return nil, fmt.Errorf("ratelimit: rule %q: an unlimited limit has no bucket", rule)
	}
	if limit.Burst == 0 {
		limit.Burst = limit.Count
	}
	l := &NamedLimit{rule: rule, index: index, limit: limit}
	sum := sha256.Sum256([]byte(rule))
	l.id = binary.LittleEndian.Uint64(sum[:])&^0xff | uint64(index+1)
	count, period, _ := limit.reduced()
	l.setRate(pace{count: uint32(count), period: period})
	return l, nil
}

// Rule returns the name of the rule that the limit belongs to.
func (l *NamedLimit) Rule() string { return l.rule }

// Index returns the position of the limit in its rule, from 0.
func (l *NamedLimit) Index() int { return l.index }

// Limit returns the limit's numbers, with Burst filled in.
func (l *NamedLimit) Limit() Limit { return l.limit }

func (l *NamedLimit) setRate(r pace) {
	l.pace = r
	l.one = r.timeOf(1)
	l.fill = r.timeOf(l.limit.Burst)
}

// timeOf returns the time that n tokens take. It must fit: n is at most the burst
// of a limit that has been checked.
func (r pace) timeOf(n int64) span {
	hi, lo := bits.Mul64(uint64(n), uint64(r.period))
	ns, frac := bits.Div64(hi, lo, uint64(r.count))
	return span{int64(ns), uint32(frac)}
}

// tokens returns how many whole tokens t is worth.
func (r pace) tokens(t span) int64 {
	hi, lo := bits.Mul64(uint64(t.ns), uint64(r.count))
	lo, carry := bits.Add64(lo, uint64(t.frac), 0)
	if hi+carry == 0 {
		return int64(lo / uint64(r.period))
	}
	n, _ := bits.Div64(hi+carry, lo, uint64(r.period))
	return int64(n)
}

func (r pace) add(a, b span) span {
	frac := uint64(a.frac) + uint64(b.frac)
	if frac < uint64(r.count) {
		return span{a.ns + b.ns, uint32(frac)}
	}
	return span{a.ns + b.ns + 1, uint32(frac - uint64(r.count))}
}

// sub returns a-b, which must not be negative.
func (r pace) sub(a, b span) span {
	if a.frac >= b.frac {
		return span{a.ns - b.ns, a.frac - b.frac}
	}
	return span{a.ns - b.ns - 1, uint32(uint64(a.frac) + uint64(r.count) - uint64(b.frac))}
}

// faster reports whether r gives more tokens in the same time than o.
func (r pace) faster(o pace) bool {
	rhi, rlo := bits.Mul64(uint64(r.count), uint64(o.period))
	ohi, olo := bits.Mul64(uint64(o.count), uint64(r.period))
	return rhi > ohi || rhi == ohi && rlo > olo
}

// convert returns the time in which to gives as many tokens as from gives in t,
// rounded up to the next fraction of to. It is for the rare change of a limit, so
// it may be slow and allocate.
func convert(t span, from, to pace) span {
	v := big.NewInt(t.ns)
	v.Mul(v, big.NewInt(int64(from.count)))
	v.Add(v, big.NewInt(int64(t.frac)))
	v.Mul(v, big.NewInt(to.period))
	v.Add(v, big.NewInt(from.period-1))
	v.Div(v, big.NewInt(from.period))
	ns, frac := v.QuoRem(v, big.NewInt(int64(to.count)), new(big.Int))
	return span{ns.Int64(), uint32(frac.Int64())}
}

func (t span) atMost(u span) bool {
	return t.ns < u.ns || t.ns == u.ns && t.frac <= u.frac
}

// ceil returns t rounded up to a whole nanosecond.
func (t span) ceil() time.Duration {
	if t.frac > 0 {
		return time.Duration(t.ns + 1)
	}
	return time.Duration(t.ns)
}

// debt returns the time until b is full.
func (b *bucket) debt(now int64) span {
	if b.full < now {
		return span{}
	}
	return span{b.full - now, b.frac}
}

// isFull reports whether b may be forgotten.
func (b *bucket) isFull(now int64) bool {
	return b.full < now || b.full == now && b.frac == 0
}

// set makes debt the debt of b under r.
func (b *bucket) set(now int64, debt span, r pace) {
	b.full, b.frac, b.pace = now+debt.ns, debt.frac, r
}

// terms returns the limit by which to judge b: l itself, unless b was last charged
// at another pace. What was spent then is paid back at the faster of both rates
// until l charges the bucket for the first time. So a limit that is lowered does not
// stretch old debts, one that is raised helps at once, and going back and forth
// between two limits gives nobody more than the faster allows.
func (b *bucket) terms(l *NamedLimit, now int64) *NamedLimit {
	if b.pace == l.pace || b.isFull(now) {
		return l
	}
	if l.faster(b.pace) {
		b.set(now, convert(b.debt(now), b.pace, l.pace), l.pace)
		return l
	}
	old := *l
	old.setRate(b.pace)
	return &old
}

// A trial is what one op would do to one bucket.
type trial struct {
	terms *NamedLimit
	after span // the debt if the op is applied
}

// try judges op on b, and puts all of the answer but the level into its Result. t, which is
// set whole, is no result since it would be copied.
func (op *Op) try(b *bucket, now int64, t *trial) {
	t.terms, t.after = op.Limit, span{}
	op.Result = Result{}
	op.Result.Allowed = true
	if b.pace != t.terms.pace {
		t.terms = b.terms(t.terms, now)
	}
	debt := b.debt(now)
	switch op.Kind {
	case OpCredit:
		t.after = t.terms.credit(debt, op.Cost)
	case OpReset:
	case OpDrain:
		t.after = t.terms.drain(debt, op.Cost)
	default:
		t.after, op.Result.Allowed = t.terms.take(debt, op.Cost)
		switch {
		case op.Result.Allowed:
		case op.Cost > t.terms.limit.Burst:
			op.Result.Never = true
		default:
			op.Result.RetryAfter = t.terms.sub(t.after, t.terms.fill).ceil()
		}
	}
}

// apply makes b what t found. It must not be called for a refused take.
func (op *Op) apply(b *bucket, now int64, t *trial) {
	switch {
	case op.Kind == OpPeek, takes(op.Kind) && op.Cost == 0:
	case takes(op.Kind) && t.terms != op.Limit && t.after.atMost(t.terms.fill):
		b.set(now, convert(t.after, t.terms.pace, op.Limit.pace), op.Limit.pace)
	default:
		b.set(now, t.after, t.terms.pace)
	}
}

// report puts the level of b into op's Result.
func (op *Op) report(b *bucket, now int64) {
	l := op.Limit
	if b.pace != l.pace {
		l = b.terms(l, now)
	}
	debt := b.debt(now)
	op.Result.ResetAfter = debt.ceil()
	if debt.atMost(l.fill) {
		op.Result.Remaining = l.tokens(l.sub(l.fill, debt))
	}
}

// admit is try and report for the ordinary, which is a take that is allowed, at the pace at which b
// fills already. It puts the debt that b will have into after, and the answer into op's Result,
// which must be zero. Otherwise it returns false and changes nothing.
func (op *Op) admit(b *bucket, now int64, after *span) bool {
	l := op.Limit
	if op.Kind != OpTake || op.Cost < 1 || op.Cost > l.limit.Burst || b.pace != l.pace {
		return false
	}
	cost := l.one
	if op.Cost > 1 {
		cost = l.timeOf(op.Cost)
	}
	debt := l.add(b.debt(now), cost)
	if !debt.atMost(l.fill) {
		return false
	}
	*after = debt
	op.Result.Allowed = true
	op.Result.Remaining = l.tokens(l.sub(l.fill, debt))
	op.Result.ResetAfter = debt.ceil()
	return true
}

// take returns debt and n tokens more, and whether the bucket has that many. If n
// is more than it can ever hold, the span means nothing.
func (l *NamedLimit) take(debt span, n int64) (span, bool) {
	switch {
	case n == 1:
		debt = l.add(debt, l.one)
	case n == 0:
		return debt, true
	case n > l.limit.Burst:
		return debt, false
	default:
		debt = l.add(debt, l.timeOf(n))
	}
	return debt, debt.atMost(l.fill)
}

// takes reports whether an op of this kind charges the bucket.
func takes(kind OpKind) bool { return kind == OpTake || kind == OpDrain }

// drain returns debt and n tokens more, but no more than the whole bucket: what is owed
// beyond that, since l was changed, is owed as before.
func (l *NamedLimit) drain(debt span, n int64) span {
	after, ok := l.take(debt, n)
	switch {
	case ok:
		return after
	case l.fill.atMost(debt):
		return debt
	}
	return l.fill
}

// credit returns debt and n tokens less, at least none.
func (l *NamedLimit) credit(debt span, n int64) span {
	if n > l.tokens(debt) {
		return span{}
	}
	return l.sub(debt, l.timeOf(n))
}
