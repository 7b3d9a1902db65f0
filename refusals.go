package ratelimit

import (
	"math"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// refusals remembers what a Store in another process has refused, so that a client who
// does not stop asking costs it nothing until the wait it was told is over.
//
// It keeps, for each op of a refused batch, what the store said of its bucket. A
// batch of takes, and of peeks that find what they ask for, is refused from memory if every
// one of its buckets is known, and one of them has refused a take of this cost or a smaller
// one until an instant that is still to come. The answers are then those of a bucket that
// nobody has touched since.
//
// Nothing is refused for longer than the store said: the wait counts from the instant
// before the store was asked. The waits and levels that are told count from the instant after
// it answered, so they err, by the time of the round trip, to the side on which a client
// who waits as told is admitted. With no such time, answers to the cost that was refused
// are the store's own to the nanosecond; in what the store rounds, which is waits for other
// costs and, across the change of a token, Remaining, they may be those of a nanosecond ago.
// While a bucket still pays back at the rate its limit had before a change of its numbers,
// which no Result tells, its level is calculated at the new one.
//
// A credit or a reset through this process drops what is known of its buckets, also
// if it overtakes a refusal that is still under way. One through another process is found
// out within askAgain, for then the store is asked again, by one caller at a time. If
// it does not answer, the others are refused as before: to be without a store is no pardon.
//
// Memory is fixed. What finds no place among setSize others is not remembered, so of
// as many refused buckets as there are places about six in seven are.
//
// A nil refusals remembers nothing.
type refusals struct {
	seed  hashSeed
	epoch atomic.Uint64 // counts credits and resets
	sets  []refusalSet
}

// defaultRefusals is for newRefusals. It takes 6.5 MB, of which a process that is refused
// nothing touches none.
const defaultRefusals = 65_536

const setSize = 8

// A refusalSet is where some buckets are kept. It has no pointers, so the garbage
// collector does not look into it.
type refusalSet struct {
	live  atomic.Int64 // all that is known here is of no use from then on
	mu    sync.Mutex
	epoch uint64 // of the latest credit or reset of a bucket whose place is here
	slots [setSize]refusal
}

// A refusal is what is known of one bucket. It is free if its id is 0 and from until on.
type refusal struct {
	id     uint64 // of the limit
	key    Key
	bucket       // the emptiest that the store can have meant, at the limit's pace
	burst  int64 // of the limit
	cost   int64 // this and any greater one is refused until then
	until  int64
	check  int64 // when the store is to be asked again
}

const (
	// askAgain is how long the store is believed. A wait may be a day, and who is pardoned by an
	// operator should not wait for the end of it; a trip every so often costs nothing.
	askAgain = int64(10 * time.Second)

	// neverHold is how long the level of a bucket is repeated to those who ask for more
	// than it can hold. They are refused whatever it is, and have no wait to be told.
	neverHold = time.Second

	// storeRounding is more than any store may round its waits up by.
	storeRounding = time.Millisecond
)

// newRefusals returns an empty memory with room for at least n buckets, nil if n is 0.
func newRefusals(n int) *refusals {
	if n <= 0 {
		return nil
	}
	return &refusals{seed: newHashSeed(), sets: make([]refusalSet, (n+setSize-1)/setSize)}
}

func (m *refusals) set(op *Op) *refusalSet {
	// The limits of one rule differ in the lowest byte of their ids: spread them too.
	h := m.seed.hash(&op.Key) ^ bits.RotateLeft64(op.Limit.id, -8)
	i, _ := bits.Mul64(h, uint64(len(m.sets)))
	return &m.sets[i]
}

// asked is when a store was asked: what was answered since can be remembered, unless it
// was overtaken by a credit.
type asked struct {
	at    int64
	epoch uint64
}

// answer reports whether ops are refused without asking the store, and if so fills in
// their Results. If not, learn is to be called with the first result and the store's
// answer. It must be called before the store is asked, at the instant now.
func (m *refusals) answer(now int64, ops []Op) (since asked, refused bool) {
	if m == nil {
		return asked{}, false
	}
	since = asked{now, m.epoch.Load()}
	for i := range ops {
		op := &ops[i]
		if op.Kind != OpTake && op.Kind != OpPeek || !op.valid() || !m.set(op).answer(now, op) {
			return since, false
		}
		refused = refused || !op.Result.Allowed
	}
	return since, refused && distinct(ops)
}

// learn is to be called when the store has answered ops or failed to, at the instant now.
// It must see every batch that may have changed a bucket, and no Result but the store's.
func (m *refusals) learn(now int64, since asked, ops []Op, failed bool) {
	switch {
	case m == nil:
	case gives(ops):
		m.forget(ops) // a credit that failed may have been applied all the same
	case !failed:
		end := refusedUntil(since.at, ops)
		for i := range ops {
			if op := &ops[i]; op.valid() {
				m.set(op).learn(max(now, since.at), since, op, end)
			}
		}
	}
}

// forget drops what is known of the buckets of ops, and all that is under way.
func (m *refusals) forget(ops []Op) {
	epoch := m.epoch.Add(1)
	for i := range ops {
		if ops[i].valid() {
			m.set(&ops[i]).forget(epoch, &ops[i])
		}
	}
}

// gives reports whether any of ops puts tokens into a bucket.
func gives(ops []Op) bool {
	for i := range ops {
		if ops[i].Kind == OpCredit || ops[i].Kind == OpReset {
			return true
		}
	}
	return false
}

// distinct reports whether each of ops has a bucket of its own. If not, what one of them
// is told depends on the others.
func distinct(ops []Op) bool {
	for i := range ops {
		for j := range i {
			if ops[i].Limit.id == ops[j].Limit.id && ops[i].Key == ops[j].Key {
				return false
			}
		}
	}
	return true
}

// refusedUntil returns the end of the longest refusal among ops, if the store was asked at
// the instant at, and 0 if they were allowed.
func refusedUntil(at int64, ops []Op) int64 {
	end := int64(0)
	for i := range ops {
		switch op := &ops[i]; {
		case op.Kind != OpTake || op.Result.Allowed:
		case op.Result.Never:
			end = max(end, at+int64(neverHold))
		default:
			end = max(end, at+int64(min(max(op.Result.RetryAfter, 0), maxFill)))
		}
	}
	return end
}

func (s *refusalSet) answer(now int64, op *Op) bool {
	if now >= s.live.Load() {
		return false
	}
	s.mu.Lock() // no defer: nothing below can panic
	r := s.find(op)
	known := r != nil && r.answer(now, op)
	s.mu.Unlock()
	return known
}

// learn puts what the store said of op's bucket in the place of what was known. Of a
// batch that was not refused, for which end is 0, it only brings up to date what is known.
func (s *refusalSet) learn(now int64, since asked, op *Op, end int64) {
	if end == 0 && now >= s.live.Load() {
		return
	}
	fresh, ok := newRefusal(now, since.at, op, end)
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.find(op)
	ok = ok && s.epoch <= since.epoch
	switch {
	case ok && end > 0:
		s.put(r, &fresh, now)
	case r == nil:
	case ok && r.of(op.Limit) && !r.overruled(op):
		r.bucket = fresh.bucket
	default:
		*r = refusal{}
	}
}

// put puts fresh in the place of r or, if that is nil, into one that is free.
func (s *refusalSet) put(r, fresh *refusal, now int64) {
	if r == nil {
		r = s.room(now)
	}
	if r != nil {
		*r = *fresh
		s.live.Store(max(s.live.Load(), fresh.until))
	}
}

func (s *refusalSet) forget(epoch uint64, op *Op) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch = max(s.epoch, epoch)
	if r := s.find(op); r != nil {
		*r = refusal{}
	}
}

func (s *refusalSet) find(op *Op) *refusal {
	for i := range s.slots {
		if r := &s.slots[i]; r.id == op.Limit.id && r.key == op.Key {
			return r
		}
	}
	return nil
}

// room returns a place that is free, or nil.
func (s *refusalSet) room(now int64) *refusal {
	for i := range s.slots {
		if r := &s.slots[i]; r.id == 0 || now >= r.until {
			return r
		}
	}
	return nil
}

// of reports whether r is known under the numbers of l.
func (r *refusal) of(l *NamedLimit) bool { return r.pace == l.pace && r.burst == l.limit.Burst }

// overruled reports whether op was allowed what r says would be refused.
func (r *refusal) overruled(op *Op) bool {
	return op.Kind == OpTake && op.Result.Allowed && op.Cost >= r.cost
}

// answer fills in op's Result as if nobody had touched the bucket, and reports whether
// that is certain, and need not be asked again: a refusal is certain if the store said it
// of this cost or a smaller one.
func (r *refusal) answer(now int64, op *Op) bool {
	if now >= r.until || !r.of(op.Limit) {
		return false
	}
	b := r.bucket
	op.try(&b, now, new(trial))
	op.report(&b, now)
	switch {
	case !op.Result.Allowed && (op.Kind != OpTake || !op.Result.Never && op.Cost < r.cost):
		return false
	case now >= r.check: // by this caller, and nobody else for as long again
		r.check = now + askAgain
		return false
	}
	return true
}

// newRefusal returns what is known of op's bucket from its Result, as the store gave it
// between the instants at and now. It is false if there is no bucket with one answer
// like that: it is one that many keys share, or that was charged under other numbers.
func newRefusal(now, at int64, op *Op, end int64) (refusal, bool) {
	l, told := op.Limit, op.Result
	if told.Overflow || !op.sane() {
		return refusal{}, false
	}
	r := refusal{id: l.id, key: op.Key, burst: l.limit.Burst, cost: math.MaxInt64, until: end, check: at + askAgain}
	r.set(now, op.mostDebt(), l.pace)
	b, again := r.bucket, *op
	again.try(&b, now, new(trial))
	again.report(&b, now)
	if again.Result.Remaining != told.Remaining || told.ResetAfter-again.Result.ResetAfter >= storeRounding {
		return refusal{}, false
	}
	if told.RetryAfter > 0 {
		if told.RetryAfter-again.Result.RetryAfter >= storeRounding {
			return refusal{}, false
		}
		r.cost, r.until = op.Cost, at+int64(again.Result.RetryAfter)
	}
	return r, true
}

// sane reports whether the numbers of op's Result are such that one can calculate with
// them: what is calculated is then less than 200 years from now. A store is somebody else's code.
func (op *Op) sane() bool {
	res, burst := &op.Result, op.Limit.limit.Burst
	return res.Remaining >= 0 && res.Remaining <= burst && res.ResetAfter >= 0 && res.ResetAfter <= maxFill &&
		res.RetryAfter >= 0 && res.RetryAfter <= maxFill && (res.RetryAfter > 0) == (!res.Allowed && !res.Never) &&
		(res.RetryAfter == 0 || op.Cost <= burst)
}

// mostDebt returns the greatest debt that a bucket can have of which the store said what
// is in op's Result. All its answers are rounded against the client, so each is a bound.
func (op *Op) mostDebt() span {
	l, res := op.Limit, &op.Result
	debt := span{ns: int64(res.ResetAfter)}
	if res.Remaining > 0 {
		debt = debt.least(l.sub(l.fill, l.timeOf(res.Remaining)))
	}
	if res.RetryAfter > 0 {
		rest := l.sub(l.fill, l.timeOf(op.Cost))
		debt = debt.least(l.add(rest, span{ns: int64(res.RetryAfter)}))
	}
	return debt
}

func (t span) least(u span) span {
	if t.atMost(u) {
		return t
	}
	return u
}
