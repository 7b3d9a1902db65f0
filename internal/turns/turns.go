// Package turns gives clients that wait for the same bucket different instants to return.
//
// If a bucket denies a hundred clients at once, all of them have the same least wait. They would
// return together, and all but one would be denied again. So each denial gets a turn: one token's
// time after the turn before.
package turns

import (
	"hash/maphash"
	"sync/atomic"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/key"
	"github.com/ratelimit-go/ratelimit/internal/pace"
)

const (
	// places is how many buckets a Book tells apart. Two buckets in one place take turns with each
	// other: their clients are told to wait longer, but no longer than the bounds say.
	places = 64
	// leastSteps is how many turns fit between the bounds at least. So slow limits spread their
	// clients too.
	leastSteps = 16
	minSpread  = time.Minute
	maxSpread  = time.Hour
	// While the store is away, 100 clients are told a second, the next 100 two seconds, then 100
	// three, and so on from the beginning.
	awayStep   = 10 * time.Millisecond
	awaySpread = 3*time.Second - awayStep
)

// A Book holds the next turn of each bucket. It is safe for concurrent use.
type Book struct {
	seed maphash.Seed
	next [places]atomic.Int64 // instants in nanoseconds
}

// New returns an empty Book.
func New() *Book { return &Book{seed: maphash.MakeSeed()} }

// A Limit is the numbers of a bucket.
type Limit = pace.Limit

// A Denial is why a client has to wait.
type Denial struct {
	Rule     string
	Key      key.Key
	Overflow bool          // all keys without room share the bucket
	Wait     time.Duration // the least
	// Limit denied the request of this Cost. If it is not valid, something else has denied it.
	Limit Limit
	Cost  int64
	// Each is the time between two requests that may go on, if no limit has denied the request. 0
	// means that it is not known.
	Each time.Duration
	// Instances is how many instances give turns in the same bucket.
	Instances int
	// Away means that the store has failed. The wait is a guess, in whole seconds.
	Away bool
}

// Wait returns how long to tell a client to wait that is denied at the instant now.
func (b *Book) Wait(now time.Time, d *Denial) time.Duration {
	step, most := d.Each, Spread(0)
	if step <= 0 {
		step = awayStep
	}
	switch {
	case d.Away:
		return b.Turn("", key.Key{}, now, d.Wait, awayStep, awaySpread).Truncate(time.Second)
	case pace.Check(d.Limit.Count, d.Limit.Period, d.Limit.Burst) == nil:
		p := pace.Of(d.Limit.Count, d.Limit.Period)
		step, most = p.TimeOf(max(d.Cost, 1)).Ceil(), Spread(p.TimeOf(d.Limit.Full()).Ceil())
	}
	step = min(step, maxSpread) * time.Duration(min(max(d.Instances, 1), 1_000))
	k := d.Key
	if d.Overflow {
		k = key.Key{}
	}
	return b.Turn(d.Rule, k, now, d.Wait, step, max(most, Spread(leastSteps*step)))
}

// Spread returns how much longer than the least wait a client is told to wait at most, if the
// bucket takes fill from empty to full: fill, but a minute at least and an hour at most. For a
// bucket of a few slow tokens it is the time of 16 tokens, up to an hour too.
//
// A client that floods the bucket takes turns too, and so delays all others. So a bucket that is
// full again soon has a short bound.
func Spread(fill time.Duration) time.Duration { return min(max(fill, minSpread), maxSpread) }

// Turn returns how long to tell a client to wait that a bucket of the named rule denied at the
// instant now. It is never less than least, and at most spread more. Each turn is step later than
// the turn before. After the last turn within spread the first one is given again.
func (b *Book) Turn(rule string, k key.Key, now time.Time, least, step, spread time.Duration) time.Duration {
	at := &b.next[(maphash.String(b.seed, rule)^maphash.Comparable(b.seed, k))%places]
	if least > pace.MaxFill {
		return least // of no bucket
	}
	step = min(max(step, 1), spread/leastSteps)
	first := now.UnixNano() + int64(least)
	for {
		next := at.Load()
		turn := max(next, first)
		if turn-first > int64(spread) {
			turn = first
		}
		if at.CompareAndSwap(next, turn+int64(step)) {
			return least + time.Duration(turn-first)
		}
	}
}
