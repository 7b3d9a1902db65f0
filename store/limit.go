package store

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/pace"
)

// A Limit is one limit of one rule, checked and compiled for the arithmetic of its buckets. An [Op]
// points to it. It is immutable and safe for concurrent use.
type Limit struct {
	rule   string
	index  int
	count  int64
	period time.Duration
	burst  int64

	plain *Limit // of which Versioned made this one, or nil
	most  uint32 // burst, or the largest number that a Bucket keeps

	id   uint64 // names rule and index: 56 bits of a hash of rule, and index+1
	pace pace.Pace
	one  pace.Span // the time that one token takes
	fill pace.Span // the time that burst tokens take
}

// maxIndex is the greatest index of a limit in its rule.
const maxIndex = 253

// NewLimit returns the limit of count tokens per period, as number index of the named rule. Its
// buckets hold burst tokens; 0 means count. It returns an error if the numbers cannot be kept
// exactly: count over period in nanoseconds, in lowest terms, must have a numerator below 2^32, and
// a bucket must be full within 100 years. The index must be from 0 to 253.
//
// A limiter does this for its rules. Call NewLimit to use a [Store] directly.
func NewLimit(rule string, index int, count int64, period time.Duration, burst int64) (*Limit, error) {
	if index < 0 || index > maxIndex {
		return nil, fmt.Errorf("store: limit index %d of rule %q: want 0 to %d", index, rule, maxIndex)
	}
	if err := pace.Check(count, period, burst); err != nil {
		return nil, fmt.Errorf("store: rule %q: %w", rule, err)
	}
	if burst == 0 {
		burst = count
	}
	l := &Limit{rule: rule, index: index, count: count, period: period, burst: burst}
	l.most = uint32(min(burst, math.MaxUint32))
	sum := sha256.Sum256([]byte(rule))
	l.id = binary.LittleEndian.Uint64(sum[:])&^0xff | uint64(index+1)
	l.setPace(pace.Of(count, period))
	return l, nil
}

func (l *Limit) setPace(p pace.Pace) {
	l.pace = p
	l.one = p.TimeOf(1)
	l.fill = p.TimeOf(l.burst)
}

// Versioned returns l as a limit of a rule that can be in use in several versions at the same time:
// see [Carry]. A batch that has an op of such a limit and index 0 must have an op for each limit of
// its version of the rule, with the same key. A limiter makes all limits of its rules so.
func (l *Limit) Versioned() *Limit {
	v := *l
	v.plain = l.Unversioned()
	return &v
}

// IsVersioned reports whether [Limit.Versioned] made l.
func (l *Limit) IsVersioned() bool { return l.plain != nil }

// Unversioned returns l as a limit that is charged apart: the limit of which [Limit.Versioned] made
// it, or l itself. Use it in a batch that has ops for some limits of a rule only.
func (l *Limit) Unversioned() *Limit {
	if l.plain != nil {
		return l.plain
	}
	return l
}

// Rule returns the name of the rule that the limit belongs to.
func (l *Limit) Rule() string { return l.rule }

// Index returns the number of the limit in its rule. A limiter gives the slowest limit 0, and of
// several with that rate the limit with the smallest burst. It gives the others numbers that depend
// on their periods.
func (l *Limit) Index() int { return l.index }

// Count returns how many tokens flow in per period.
func (l *Limit) Count() int64 { return l.count }

// Period returns the time in which Count tokens flow in.
func (l *Limit) Period() time.Duration { return l.period }

// Burst returns how many tokens a bucket holds. It is never 0.
func (l *Limit) Burst() int64 { return l.burst }

// ID returns a number that stands for the rule and index of the limit: 56 bits of a SHA-256 hash of
// the rule, and the index plus 1 in the lowest byte. It is the same in every process, and never 0.
func (l *Limit) ID() uint64 { return l.id }
