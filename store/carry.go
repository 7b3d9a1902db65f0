package store

import (
	"time"

	"github.com/ratelimit-go/ratelimit/internal/pace"
)

// Carry lets a batch count what versions of a rule with fewer limits have charged. Call it before
// any op of the batch is applied, and keep what it changes even if the batch is denied. bucket
// returns the bucket of an op, or nil for a bucket to leave alone.
//
// A limiter gives the slowest limit of a rule index 0. So if a version has a slower limit more, the
// limit that is the slowest elsewhere has another index in it. The other versions charge this limit
// to bucket 0 alone. They have done so if bucket 0 was charged last at a rate that is nearer to
// this limit's than to the rate of the batch's own limit 0, and if it does not lack more than four
// times what the bucket of this limit holds. Then Carry makes the bucket of the limit lack at least
// what bucket 0 lacks.
//
// Carry changes nothing if each bucket 0 fills at the rate of its limit: see [Bucket.FillsAt].
func Carry(ops []Op, now time.Duration, bucket func(i int) *Bucket) {
	for z := range ops {
		of := ops[z].Limit
		if of.index > 0 {
			continue
		}
		slowest := bucket(z)
		if slowest == nil || slowest.FillsAt(of) || slowest.Full(now) {
			continue
		}
		for i := range ops {
			if l := ops[i].Limit; l.index > 0 && l.rule == of.rule && ops[i].Key == ops[z].Key {
				if b := bucket(i); b != nil {
					b.carry(l, slowest, of, now)
				}
			}
		}
	}
}

// carry makes b, the bucket of l, lack at least what slowest lacks, if that was spent under l. The
// limit of the batch for slowest is of.
func (b *Bucket) carry(l *Limit, slowest *Bucket, of *Limit, now time.Duration) {
	if !l.pace.Faster(of.pace) || !slowest.pace.Nearer(l.pace, of.pace) {
		return
	}
	owed := pace.Convert(slowest.debt(int64(now)), slowest.pace, l.pace)
	own := b.debt(int64(now))
	if !b.FillsAt(l) && !b.Full(now) {
		own = pace.Convert(own, b.pace, l.pace)
	}
	if !owed.AtMost(own) && owed.NS/4 <= l.fill.NS {
		b.set(int64(now), owed.Least(l.fill), l.pace)
	}
}
