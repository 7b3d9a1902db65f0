package ratelimit

import (
	"errors"
	"time"
)

// A Penalty blocks a key of its [Rule] that offends again and again: for a short time at first, and
// for twice as long each time that it goes on. An offence is a request that the limits of the
// rule refuse or, with Offence, a response.
//
// The offences of a key, its block and how often it was blocked are buckets of the [Store], so
// all processes with that Store block a key at once, and a block ends by itself. A blocked key
// is refused from the memory of the process that knows of it, with [ReasonBlocked], status
// 429 and the end of the block as its RetryAfter; the Store is asked once in 10 seconds
// whether the block still holds. If the Store fails, the blocks that are known hold all the
// same. What a blocked key asks for costs it nothing, is no offence, and does not make the
// block any longer. The limits are not asked meanwhile: where they need longer than the block to
// admit it again, whoever comes back at its end is refused once more, which is another offence. Let
// For be as long as a token of the limits takes.
//
// Whoever shares a key shares its block: think of the users behind one address, and do not
// let a stranger's requests be counted under somebody's name. Requests without identity,
// which may be anybody's, are never blocked; nor are new keys that a MemoryStore has no room for.
//
// The zero Penalty blocks nobody but by [Limiter.Block].
type Penalty struct {
	_ [0]func()

	// After is how many offences lead to a block, and in what time, as "10 per 10 minutes": it is a
	// token bucket, and the offence that takes its last token blocks the key. Then it is
	// full again. The zero Limit blocks nobody.
	After Limit
	// For is how long the first block lasts, at least a second. Zero means a minute. All times here are
	// rounded up to milliseconds.
	For time.Duration
	// Max is the longest that a block lasts, at most a year. Zero means an hour, or For if that is
	// more.
	Max time.Duration
	// Forget is how long a key that is not blocked must go without another block for one of its
	// blocks to be forgotten, so that the next one is half as long: a second to 90 days. Zero means
	// a day.
	Forget time.Duration
	// Offence, if not nil, reports whether a response is an offence too, such as a failed login
	// or a page that is not there. It is called when the handler has returned or panicked. If
	// it panics itself, that is reported and no offence.
	Offence func(Response) bool
}

// The limits of a penalty, under the name of the rule and penaltySuffix, which no rule's name can
// end in. The buckets of blocks and repeats keep times, a token for each millisecond: a key
// is blocked until the one is full, and was blocked as often as Forget goes into the time that
// the other takes to be full.
const (
	penaltySuffix = `"penalty`

	offencesIndex = 0
	blockIndex    = 1
	repeatsIndex  = 2
)

// The longest that a key can be blocked, and that it can take to forget one block.
const (
	maxBlock  = year
	maxForget = 90 * day
)

// wholeBlock is the number of tokens of a key that is not blocked.
const wholeBlock = int64(maxBlock / time.Millisecond)

// penalty is a compiled Penalty.
type penalty struct {
	Penalty
	offences *NamedLimit // nil if no offence leads to a block
	block    *NamedLimit
	repeats  *NamedLimit
	ceiling  int // after so many blocks the next one lasts for Max
}

func (p *Penalty) check(m *mistakes, field string) {
	if p.After != (Limit{}) {
		if err := p.After.check(); err != nil {
			m.add(field+".After", err)
		} else if p.After.IsUnlimited() {
			m.add(field+".After", errors.New("unlimited: want a number of offences, or the zero Limit if none is to block"))
		}
	} else if p.Offence != nil {
		m.add(field+".After", errors.New("an Offence, but no number of them that blocks: want for example PerMinute(10)"))
	}
	for _, d := range []struct {
		name        string
		value, most time.Duration
	}{{".For", p.For, maxBlock}, {".Max", p.Max, maxBlock}, {".Forget", p.Forget, maxForget}} {
		if d.value != 0 && (d.value < time.Second || d.value > d.most) {
			m.addf(field+d.name, "%v: want a second to %d days, or 0 for the usual", d.value, d.most/day)
		}
	}
	if p.Max != 0 && p.Max < p.filled().For {
		m.addf(field+".Max", "%v: want at least For, which is %v", p.Max, p.filled().For)
	}
}

// filled returns p with the usual times for those that are zero, and whole milliseconds for others.
func (p *Penalty) filled() Penalty {
	f := *p
	if f.For == 0 {
		f.For = time.Minute
	}
	if f.Max == 0 {
		f.Max = max(time.Hour, f.For)
	}
	if f.Forget == 0 {
		f.Forget = day
	}
	for _, d := range []*time.Duration{&f.For, &f.Max, &f.Forget} {
		*d = time.Duration(millis(*d)) * time.Millisecond
	}
	return f
}

// compilePenalty compiles the penalty of r, which has been checked. It returns nil if there is none.
func compilePenalty(r *Rule) *penalty {
	if r.Penalty == nil {
		return nil
	}
	p := &penalty{Penalty: r.Penalty.filled()}
	for d := p.For; d < p.Max; d *= 2 {
		p.ceiling++
	}
	p.block = penaltyLimit(r, blockIndex, Limit{1, time.Millisecond, wholeBlock})
	p.repeats = penaltyLimit(r, repeatsIndex, Limit{1, time.Millisecond, millis(time.Duration(p.ceiling)*p.Forget + p.Max)})
	if p.After != (Limit{}) {
		p.offences = penaltyLimit(r, offencesIndex, p.After)
	}
	return p
}

func penaltyLimit(r *Rule, index int, l Limit) *NamedLimit {
	named, err := NameLimit(r.Name+penaltySuffix, index, l)
	if err != nil {
		panic(err) // unreachable: Penalty.check has seen it
	}
	named.onFailure = r.OnStoreFailure
	return named
}

// millis returns d in milliseconds, rounded up.
func millis(d time.Duration) int64 { return int64((d + time.Millisecond - 1) / time.Millisecond) }

// length returns how long a key is blocked that was blocked so often before.
func (p *penalty) length(before int) time.Duration {
	if before >= p.ceiling {
		return p.Max
	}
	return p.For << before
}

// before returns how often a key was blocked, not counting what is forgotten, if its bucket of
// repeats takes so long to be full. Stores may round that up.
func (p *penalty) before(full time.Duration) int {
	full -= storeRounding
	if full <= 0 {
		return 0
	}
	return min(int((full-1)/p.Forget)+1, p.ceiling)
}

// asks returns the op that asks whether key is blocked.
func (p *penalty) asks(key Key) Op {
	return Op{Kind: OpPeek, Limit: p.block, Key: key, Cost: wholeBlock}
}

// offend returns the ops that count an offence, unless key is blocked: then the first refuses them.
// The last two tell what is left of the offences and of the repeats.
func (p *penalty) offend(ops []Op, key Key) []Op {
	return append(p.blockFor(ops, key, 0),
		Op{Kind: OpDrain, Limit: p.offences, Key: key, Cost: 1},
		Op{Kind: OpPeek, Limit: p.repeats, Key: key, Cost: 1})
}

// punish returns the ops that block key for d, unless it is blocked: then the first refuses
// them. Its offences count anew.
func (p *penalty) punish(ops []Op, key Key, d time.Duration) []Op {
	return append(p.blockFor(ops, key, d),
		Op{Kind: OpReset, Limit: p.offences, Key: key},
		Op{Kind: OpDrain, Limit: p.repeats, Key: key, Cost: millis(d + p.Forget)})
}

// blockFor appends two ops that take all of a block, which is there only if key is not blocked, and
// give back all but d.
func (p *penalty) blockFor(ops []Op, key Key, d time.Duration) []Op {
	return append(ops,
		Op{Kind: OpTake, Limit: p.block, Key: key, Cost: wholeBlock},
		Op{Kind: OpCredit, Limit: p.block, Key: key, Cost: wholeBlock - millis(d)})
}

// resets appends the ops by which key has never offended.
func (p *penalty) resets(ops []Op, key Key) []Op {
	if p.offences != nil {
		ops = append(ops, Op{Kind: OpReset, Limit: p.offences, Key: key})
	}
	return append(ops,
		Op{Kind: OpReset, Limit: p.block, Key: key},
		Op{Kind: OpReset, Limit: p.repeats, Key: key})
}
