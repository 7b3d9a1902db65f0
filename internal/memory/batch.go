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
	room  bool          // whether room is set aside for such a key
	over  bool          // whether there was no room, and b is the overflow bucket
	state store.Bucket  // of first: the bucket as the ops so far would leave it
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
	for _, n := range b.locked {
		sh := &b.s.shards[n]
		sh.mu.Lock()
		b.now = max(b.now, sh.now)
	}
	for _, n := range b.locked {
		b.s.shards[n].now = b.now
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
	missing := false
	for i := range b.ops {
		p, op := &b.places[i], &b.ops[i]
		p.first = b.firstOn(i)
		if p.first == i && b.s.shard(p.hash).find(op.Limit.ID(), &op.Key, p.hash) == nil {
			p.room = b.s.makeRoom(b.s.shard(p.hash), b.now)
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
		p.b = b.s.shard(p.hash).find(op.Limit.ID(), &op.Key, p.hash)
		if p.b == nil && !p.room {
			// Either there was no room, or making room for another op has dropped this bucket
			// because it was full. Then there is room again.
			p.room = b.s.setAside()
		}
		if p.b == nil && !p.room {
			p.b, p.over = b.overflow(op.Limit), true
		}
		if p.b != nil {
			p.state = *p.b
		}
	}
}

// firstOn returns the index of the first op on the bucket of op i.
func (b *batch) firstOn(i int) int {
	op := &b.ops[i]
	for j := range i {
		if o := &b.ops[j]; o.Limit.ID() == op.Limit.ID() && o.Key == op.Key {
			return j
		}
	}
	return i
}

// overflow returns the bucket that the keys of limit without room share.
func (b *batch) overflow(limit *store.Limit) *store.Bucket {
	o := &b.s.overflow
	if !b.full {
		o.mu.Lock()
		b.full = true
		b.now = max(b.now, o.now)
		o.now = b.now
	}
	o.count.Add(1)
	if o.buckets[limit.ID()] == nil {
		o.buckets[limit.ID()] = new(store.Bucket)
	}
	return o.buckets[limit.ID()]
}

// try applies all ops to copies of their buckets, each as the ops before it left them, and reports
// whether no Take was denied.
func (b *batch) try() bool {
	ok := true
	for i := range b.ops {
		op := &b.ops[i]
		state := &b.places[b.places[i].first].state
		if !state.Apply(op, b.now) && op.Kind == store.Take {
			ok = false
		}
	}
	return ok
}

// write replaces the buckets by their copies. A full bucket needs no place of its own.
func (b *batch) write() {
	for i := range b.places {
		p := &b.places[i]
		switch {
		case p.first != i:
		case p.b != nil:
			*p.b = p.state
		case !p.state.Full(b.now):
			op := &b.ops[i]
			p.b = b.s.shard(p.hash).insert(op.Limit.ID(), &op.Key, p.hash)
			*p.b = p.state
			p.room = false
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
		new(store.Bucket).Report(op, b.now)
	}
}
