package memory

import (
	"slices"
	"time"

	"github.com/ratelimit-go/ratelimit/store"
)

// A place is where one op of a batch finds its bucket.
type place struct {
	hash  uint64
	first int           // the first op of the batch on the same bucket
	b     *store.Bucket // nil for a key that the store does not hold yet
	own   bool          // whether such a key gets a bucket of its own
	room  bool          // whether room is set aside for it
	over  bool          // whether there was no room, and b is a bucket that keys share
	state store.Bucket  // of first: the bucket as the ops so far would leave it
	found store.Bucket  // of first: the bucket before the batch, with what it carries

	// What first needs to know of all ops on its bucket.
	charges bool      // whether any may take tokens, and so needs a place
	peeks   bool      // whether any asks for tokens
	alone   bool      // whether the bucket must not be shared
	taken   int64     // what ops have taken from a shared bucket so far
	common  store.Key // by which the key shares a bucket
}

// batch is one call of Apply under way.
type batch struct {
	s      *Store
	now    time.Duration
	ops    []store.Op
	places []place
	locked []uint32 // shards, ascending and distinct
	full   bool     // whether the overflow buckets are locked too
}

// applyBatch decides ops under the locks of all their shards, taken in ascending order. It works in
// three steps: find the buckets, apply the ops to copies of them, and write the copies back if no
// Take was denied.
func (s *Store) applyBatch(now time.Duration, ops []store.Op) {
	b, _ := s.batches.Get().(*batch)
	if b == nil {
		b = new(batch)
	}
	*b = batch{s: s, now: now, ops: ops, places: b.places[:0], locked: b.locked[:0]}
	defer func() {
		b.ops = nil
		clear(b.places)
		s.batches.Put(b)
	}()
	b.places = slices.Grow(b.places, len(ops))[:len(ops)]
	clear(b.places)
	b.locked = s.hashAll(ops, b.places, b.locked)
	b.lock()
	defer b.unlock()
	b.find()
	if b.try() {
		b.write()
		b.spread()
	}
	for i := range ops {
		b.report(i)
	}
}

// hashAll fills in the hashes of places. It appends their shards to locked, ascending and distinct.
func (s *Store) hashAll(ops []store.Op, places []place, locked []uint32) []uint32 {
	for i := range ops {
		if i > 0 && ops[i].Key == ops[i-1].Key {
			places[i].hash = places[i-1].hash
			continue
		}
		places[i].hash = s.seed.Hash(&ops[i].Key)
		if n := uint32(places[i].hash & s.mask); !slices.Contains(locked, n) {
			locked = append(locked, n)
		}
	}
	slices.Sort(locked)
	return locked
}

// lock locks the shards, and sets their clocks and the batch's to the latest of them.
func (b *batch) lock() {
	now := b.now
	for _, n := range b.locked {
		sh := &b.s.shards[n]
		sh.mu.Lock()
		now = max(now, sh.now)
	}
	b.setNow(now)
}

// setNow sets the clocks of the batch and of its shards.
func (b *batch) setNow(now time.Duration) {
	b.now = now
	for _, n := range b.locked {
		b.s.shards[n].now = now
	}
}

func (b *batch) unlock() {
	if b.full {
		b.s.overflow.mu.Unlock()
	}
	for _, n := range b.locked {
		b.s.shards[n].mu.Unlock()
	}
}

// find fills in the places. Growing a table and dropping full buckets move other buckets, so both
// happen before any pointer into the table is kept.
func (b *batch) find() {
	b.findFirsts()
	missing, over := false, false
	for i := range b.ops {
		p, op := &b.places[i], &b.ops[i]
		if p.first != i || isShared(op) {
			continue
		}
		sh, id := b.s.shard(p.hash), op.Limit.ID()
		if (p.charges || p.peeks) && sh.find(id, &op.Key, p.hash) == nil {
			p.own, p.room = b.s.makeRoom(sh, op, b.now, p.charges)
			missing = true
		}
	}
	if missing {
		for _, n := range b.locked {
			b.s.shards[n].reserve(b.s, len(b.ops))
		}
	}
	for i := range b.ops {
		p, op := &b.places[i], &b.ops[i]
		if p.first != i {
			continue
		}
		if isShared(op) {
			p.over, over = true, true
			continue
		}
		p.b = b.s.shard(p.hash).find(op.Limit.ID(), &op.Key, p.hash)
		if p.b == nil && !p.own && (p.charges || p.peeks) {
			// Either there was no room, or making room for another op has dropped this bucket
			// because it was full. Then there is room again.
			p.room = b.s.setAsideFor(op)
			p.own, p.over = p.room, !p.room
			over = over || p.over && !p.alone
		}
	}
	if over {
		b.share()
	}
	for i := range b.ops {
		p := &b.places[i]
		if p.first == i && p.b != nil {
			p.state = *p.b
		}
		if p.over {
			b.s.overflow.count.Add(1)
		}
	}
	b.carry()
}

// findFirsts finds the first op on each bucket, and what it needs to know of the others.
func (b *batch) findFirsts() {
	for i := range b.ops {
		op := &b.ops[i]
		b.places[i].first = b.firstOn(i)
		p := &b.places[b.places[i].first]
		switch op.Kind {
		case store.Take, store.TakeUpTo:
			p.charges = p.charges || op.Cost > 0
			p.peeks = true
		case store.Peek:
			p.peeks = true
		}
		p.alone = p.alone || op.Alone
	}
}

// firstOn returns the index of the first op on the bucket of op i.
func (b *batch) firstOn(i int) int {
	op := &b.ops[i]
	for j := range i {
		o := &b.ops[j]
		if o.Limit.ID() == op.Limit.ID() && o.Key == op.Key && isShared(o) == isShared(op) {
			return j
		}
	}
	return i
}

// isShared reports whether op is on the bucket that its key would share, even if it has one of its
// own.
func isShared(op *store.Op) bool { return op.Shared && op.Kind == store.Refund }

// try applies all ops to copies of their buckets, each as the ops before it left them, and reports
// whether no Take was denied.
func (b *batch) try() bool {
	ok := true
	for i := range b.ops {
		op, p := &b.ops[i], &b.places[b.places[i].first]
		switch {
		case p.over && !p.alone && op.Kind != store.Peek:
			ok = p.apply(op, b.now) && ok
		case !p.state.Apply(op, b.now) && op.Kind == store.Take:
			ok = false
		}
	}
	return ok
}

// apply is the Apply of a bucket that keys share, for all ops except a Peek. It refunds only what
// the batch has taken, or what op says was taken from here: a Refund or Reset of one key must
// not pay the debts of others.
func (p *place) apply(op *store.Op, now time.Duration) bool {
	if op.Kind == store.Take || op.Kind == store.TakeUpTo {
		ok := p.state.Apply(op, now)
		if ok && op.Kind == store.Take {
			p.taken += op.Cost
		}
		return ok
	}
	back := *op
	back.Kind = store.Refund
	if !isShared(op) {
		if op.Kind == store.Reset {
			back.Cost = p.taken
		}
		back.Cost = min(back.Cost, p.taken)
		p.taken -= back.Cost
	}
	p.state.Apply(&back, now)
	op.Result = back.Result
	return true
}

// write replaces the buckets by their copies. A full bucket needs no place of its own.
func (b *batch) write() {
	for i := range b.places {
		p := &b.places[i]
		switch {
		case p.first != i, p.over && p.b == nil:
		case p.b != nil:
			*p.b = p.state
		case p.room && !p.state.Full(b.now):
			op := &b.ops[i]
			p.b = b.s.shard(p.hash).insert(op.Limit.ID(), &op.Key, p.hash)
			*p.b = p.state
			b.s.census.add(&b.s.seed, op.Limit.ID(), &op.Key, p.hash, 1)
			p.room = false
		default:
			p.found = p.state // what it carried may have been refunded
		}
	}
}

// report completes the Result of op i, and returns room that was not used.
func (b *batch) report(i int) {
	p := &b.places[i]
	if p.room {
		b.s.keys.Add(-1)
		p.room = false
	}
	op, first := &b.ops[i], &b.places[p.first]
	op.Result.Overflow = first.over
	if first.b != nil {
		first.b.Report(op, b.now)
	} else {
		first.found.Report(op, b.now)
	}
}
