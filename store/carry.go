package store

import (
	"math"
	"slices"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/pace"
)

// Carry lets buckets of a batch begin with what other versions of their rules have charged. Call it
// before any op of the batch is applied, and keep what it changes even if the batch is denied. It
// concerns the limits that [Limit.Versioned] has made.
//
// Several versions of a rule are in use at the same time in a deployment, or after a change that
// reaches some instances later. They may differ in the number of limits and in all numbers. Each
// allows a request by its own limits alone, but counts what all of them allow. So at one instant
// they allow together at most as much as one of them.
//
// The buckets of one rule and key are kin. Bucket 0, of the slowest limit, keeps them together: all
// versions charge it, and it is the last one to be full.
//
// bucket returns the bucket of an op, or nil for a bucket to leave alone. family returns the
// buckets that the key of an op has under the rule of its limit. It may leave out the buckets of
// the batch. Carry may change the slice.
//
// A bucket that was charged before has counted what other versions charged since: see [Spread]. A
// bucket that is new, or that the store has forgotten, begins with what its kin leaves of the
// larger burst: its own burst, or the burst of the limit that charged the kin last. A bucket of the
// batch counts as such kin if its limit had other numbers then. A store that does not know which
// burst charged the kin may leave less.
func Carry(ops []Op, now time.Duration, bucket func(i int) *Bucket, family func(i int) []*Bucket) {
	for z := range ops {
		first := bucket(z)
		if !ops[z].leads() || first == nil {
			continue
		}
		kin, own := kinOf(ops, z, bucket, family), 0
		for i := range ops {
			b, l := bucket(i), ops[i].Limit
			if !ops[i].follows(&ops[z]) {
				continue
			}
			if !doubled(i, bucket) {
				own++
			}
			if b == nil || b == first || b.count > 0 {
				continue
			}
			for _, other := range kin {
				b.begin(l, other, now)
			}
			for j := range ops {
				if o := bucket(j); ops[j].follows(&ops[z]) && o != nil && !o.chargedBy(ops[j].Limit) {
					b.begin(l, o, now)
				}
			}
		}
		first.kin = uint32(own + len(kin))
	}
}

// Spread adds what an allowed batch has taken under its rules, or put back, to the buckets that it
// has no op for. Call it after the ops were applied, with arguments as for [Carry].
func Spread(ops []Op, now time.Duration, bucket func(i int) *Bucket, family func(i int) []*Bucket) {
	for z := range ops {
		if ops[z].leads() {
			for _, b := range kinOf(ops, z, bucket, family) {
				b.spread(&ops[z], int64(now))
			}
		}
	}
}

// Settled reports whether [Carry] and [Spread] have nothing to do for b, the bucket of index 0 of
// l. The batch has n ops under the rule of l, on different buckets that are all there. A store may
// ask this instead of calling them.
func (b *Bucket) Settled(l *Limit, n int) bool {
	return l.plain == nil || b.kin == uint32(n) && (n == 1 || b.chargedBy(l))
}

// leads reports whether op is on the bucket that keeps its kin together.
func (op *Op) leads() bool { return op.Limit.index == 0 && op.Limit.plain != nil }

// follows reports whether the buckets of op and of lead are kin, or the same.
func (op *Op) follows(lead *Op) bool { return op.Limit.id>>8 == lead.Limit.id>>8 && op.Key == lead.Key }

// kinOf returns the family of op z without the buckets of the batch.
func kinOf(ops []Op, z int, bucket func(i int) *Bucket, family func(i int) []*Bucket) []*Bucket {
	return slices.DeleteFunc(family(z), func(b *Bucket) bool {
		for i := range ops {
			if bucket(i) == b {
				return true
			}
		}
		return false
	})
}

// doubled reports whether an earlier op than i has the same bucket.
func doubled(i int, bucket func(i int) *Bucket) bool {
	for j := range i {
		if bucket(j) == bucket(i) {
			return true
		}
	}
	return false
}

// chargedBy reports whether b was charged last under the numbers of l.
func (b *Bucket) chargedBy(l *Limit) bool { return b.pace() == l.pace && b.burst == l.most }

// begin makes b, a new bucket of l, hold at most what other leaves of the larger burst.
func (b *Bucket) begin(l *Limit, other *Bucket, now time.Duration) {
	if other.burst == math.MaxUint32 || other.Full(now) {
		return
	}
	larger := max(int64(other.burst), l.burst)
	left := larger - other.lacks(larger, int64(now))
	if left >= l.burst {
		return
	}
	if debt := l.pace.TimeOf(l.burst - left); !debt.AtMost(b.debt(int64(now))) {
		b.set(int64(now), debt, l.pace)
		b.burst = l.most
	}
}

// lacks returns how many tokens b lacks, rounded up, but at most so many.
func (b *Bucket) lacks(most, now int64) int64 {
	debt, p := b.debt(now), b.pace()
	if !debt.AtMost(p.BoundedTimeOf(most)) {
		return most
	}
	n := p.Tokens(debt)
	if p.TimeOf(n) != debt {
		n++
	}
	return min(n, most)
}

// spread changes b, which is kin to the bucket of op, as op has changed that.
func (b *Bucket) spread(op *Op, now int64) {
	if b.count == 0 || op.Kind == Peek { // b was never charged, or nothing was taken
		return
	}
	debt, p := b.debt(now), b.pace()
	switch op.Kind {
	case Take, TakeUpTo:
		debt = p.Add(debt, p.BoundedTimeOf(op.Cost)).Least(pace.Span{NS: int64(pace.MaxFill)})
	case Refund:
		if back := p.BoundedTimeOf(op.Cost); back.AtMost(debt) {
			debt = p.Sub(debt, back)
		} else {
			debt = pace.Span{}
		}
	case Reset:
		debt = pace.Span{}
	}
	b.set(now, debt, p)
}
