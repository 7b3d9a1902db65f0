package blocks

import (
	"time"

	"github.com/ratelimit-go/ratelimit/internal/key"
	"github.com/ratelimit-go/ratelimit/store"
)

// Buckets are the limits by which a store keeps the violations and blocks of the keys of one rule.
// It is immutable and safe for concurrent use.
//
// The buckets of blocks and repeats keep times: one token flows in per millisecond. A key is
// blocked until its bucket of blocks is full. Each block takes its length and Forget from the
// bucket of repeats, so the time until that is full tells how many blocks are not forgotten.
//
// All ops are Alone: a key for which the store has no room is not blocked in it, and shares no
// block with others.
type Buckets struct {
	policy     Policy       // with whole times and no zeros
	violations *store.Limit // nil if no number of violations blocks
	block      *store.Limit
	repeats    *store.Limit
	ceiling    int // a key that was blocked this often is blocked for Max
}

// The limits have the name of the rule and this suffix, which no name of a rule has. Stores keep
// names and indexes, so they must never change.
const (
	suffix = `"block`

	violationsIndex = 0
	blockIndex      = 1
	repeatsIndex    = 2
)

// whole is how many tokens the bucket of blocks has if the key is not blocked.
const whole = int64(MaxFor / time.Millisecond)

// rounding is more than any store rounds its times up by.
const rounding = time.Millisecond

// Compile returns the Buckets of the named rule for a Policy without mistakes.
func Compile(rule string, p Policy) *Buckets {
	b := &Buckets{policy: p.filled()}
	p = b.policy
	for d := p.For; d < p.Max; d *= 2 {
		b.ceiling++
	}
	longest := time.Duration(b.ceiling)*p.Forget + p.Max // until all repeats are forgotten
	b.block = newLimit(rule, blockIndex, 1, time.Millisecond, whole)
	b.repeats = newLimit(rule, repeatsIndex, 1, time.Millisecond, millis(longest))
	if p.AfterCount != 0 {
		b.violations = newLimit(rule, violationsIndex, p.AfterCount, p.AfterPeriod, p.AfterBurst)
	}
	return b
}

func newLimit(rule string, index int, count int64, period time.Duration, burst int64) *store.Limit {
	l, err := store.NewLimit(rule+suffix, index, count, period, burst)
	if err != nil {
		panic(err) // the Policy was not checked
	}
	return l
}

// Counts reports whether some number of violations blocks a key.
func (b *Buckets) Counts() bool { return b.violations != nil }

// ID returns the name of the block of k in a [Known].
func (b *Buckets) ID(k key.Key) ID { return ID{Limit: b.block.ID(), Key: k} }

// Length returns the length of the next block of a key that was blocked before times.
func (b *Buckets) Length(before int) time.Duration {
	if before >= b.ceiling {
		return b.policy.Max
	}
	return b.policy.For << before
}

// Before returns how many blocks of a key are not forgotten, if its bucket of repeats is full after
// the time full. A store may have rounded that up.
func (b *Buckets) Before(full time.Duration) int {
	full -= rounding
	if full <= 0 {
		return 0
	}
	return min(int((full-1)/b.policy.Forget)+1, b.ceiling)
}

// Asks returns the op that asks whether k is blocked. If it is not Allowed, its RetryAfter is the
// rest of the block.
func (b *Buckets) Asks(k key.Key) store.Op {
	return store.Op{Alone: true, Kind: store.Peek, Limit: b.block, Key: k, Cost: whole}
}

// Violate appends the four ops that count a violation of k. If k is blocked, the first of them
// denies the batch. [Answers] finds the answers. Call it only if b.Counts.
func (b *Buckets) Violate(ops []store.Op, k key.Key) []store.Op {
	return append(
		b.begin(ops, k, 0),
		store.Op{Alone: true, Kind: store.TakeUpTo, Limit: b.violations, Key: k, Cost: 1},
		store.Op{Alone: true, Kind: store.Peek, Limit: b.repeats, Key: k, Cost: 1},
	)
}

// Punish appends the four ops that block k for d. If k is already blocked, the first of them denies
// the batch. The violations of k start again from none. Call it only if b.Counts.
func (b *Buckets) Punish(ops []store.Op, k key.Key, d time.Duration) []store.Op {
	return append(
		b.begin(ops, k, d),
		store.Op{Alone: true, Kind: store.Reset, Limit: b.violations, Key: k},
		store.Op{
			Alone: true, Kind: store.TakeUpTo, Limit: b.repeats, Key: k, Cost: millis(d + b.policy.Forget),
		},
	)
}

// Answers returns the results about the block, the violations and the repeats of a key. The last
// four of ops must be the ops of [Buckets.Violate] or [Buckets.Punish].
//
// If the block is not Allowed, the key is blocked for its RetryAfter. After Violate, a violation
// that leaves no token Remaining blocks the key: pass the ResetAfter of repeats to
// [Buckets.Before].
func Answers(ops []store.Op) (block, violations, repeats *store.Result) {
	ops = ops[len(ops)-4:]
	return &ops[0].Result, &ops[2].Result, &ops[3].Result
}

// begin appends two ops that begin a block of length d. The first takes all tokens of the bucket,
// which only a key that is not blocked has. The second refunds all except d.
func (b *Buckets) begin(ops []store.Op, k key.Key, d time.Duration) []store.Op {
	return append(
		ops,
		store.Op{Alone: true, Kind: store.Take, Limit: b.block, Key: k, Cost: whole},
		store.Op{Alone: true, Kind: store.Refund, Limit: b.block, Key: k, Cost: whole - millis(d)},
	)
}

// BlockFor appends the ops that block k for d from now, even if it is blocked for another time. The
// block does not count as a repeat. Round says how long it lasts. The longest d is MaxFor.
func (b *Buckets) BlockFor(ops []store.Op, k key.Key, d time.Duration) []store.Op {
	return append(
		ops,
		store.Op{Alone: true, Kind: store.Reset, Limit: b.block, Key: k},
		store.Op{Alone: true, Kind: store.Take, Limit: b.block, Key: k, Cost: millis(d)},
	)
}

// Resets appends the ops that end the block of k, and forget its violations and repeats.
func (b *Buckets) Resets(ops []store.Op, k key.Key) []store.Op {
	if b.violations != nil {
		ops = append(ops, store.Op{Alone: true, Kind: store.Reset, Limit: b.violations, Key: k})
	}
	return append(
		ops,
		store.Op{Alone: true, Kind: store.Reset, Limit: b.block, Key: k},
		store.Op{Alone: true, Kind: store.Reset, Limit: b.repeats, Key: k},
	)
}
