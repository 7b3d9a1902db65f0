package ratelimit

import "slices"

// A place is where one op of a batch finds its bucket.
type place struct {
	hash  uint64
	first int     // the first op of the batch on the same bucket
	b     *bucket // nil for a key the store does not hold yet
	room  bool    // whether there is room for such a key
	over  bool    // whether there is none, and b is the overflow bucket
	state bucket  // of first: the bucket as the ops so far would leave it
}

// batch is one call of Apply under way.
type batch struct {
	s      *MemoryStore
	now    int64
	ops    []Op
	places []place
	locked []uint32 // shards, ascending and distinct
	full   bool     // whether the overflow buckets are locked too
}

// applyBatch decides ops under the locks of all their shards, taken in ascending order.
// It works in three steps: find the buckets, try the ops on copies of them, and
// write the copies back if no take was refused.
func (s *MemoryStore) applyBatch(now int64, ops []Op) {
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

// hashAll fills in the hashes of places, and returns the shards they lead to, ascending
// and distinct, in locked.
func (s *MemoryStore) hashAll(ops []Op, places []place, locked []uint32) []uint32 {
	for i := range ops {
		if i > 0 && ops[i].Key == ops[i-1].Key {
			places[i].hash = places[i-1].hash
			continue
		}
		places[i].hash = s.seed.hash(&ops[i].Key)
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

// find fills in the places. Whatever moves buckets in a table, which is growing it and
// dropping full buckets, happens before any pointer into the table is kept.
func (b *batch) find() {
	missing := false
	for i := range b.ops {
		p, op := &b.places[i], &b.ops[i]
		p.first = b.firstOn(i)
		if p.first == i && b.s.shard(p.hash).find(op.Limit.id, &op.Key, p.hash) == nil {
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
		p.b = b.s.shard(p.hash).find(op.Limit.id, &op.Key, p.hash)
		if p.b == nil && !p.room {
			// Either there was no room, or making room for another op dropped this
			// bucket, which was full, and so gave room back.
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
		if o := &b.ops[j]; o.Limit.id == op.Limit.id && o.Key == op.Key {
			return j
		}
	}
	return i
}

// overflow returns the bucket shared by the keys of limit that found no room.
func (b *batch) overflow(limit *NamedLimit) *bucket {
	o := &b.s.overflow
	if !b.full {
		o.mu.Lock()
		b.full = true
		b.now = max(b.now, o.now)
		o.now = b.now
	}
	o.count.Add(1)
	if o.buckets[limit.id] == nil {
		o.buckets[limit.id] = new(bucket)
	}
	return o.buckets[limit.id]
}

// try judges all ops on copies of their buckets, each as the ops before it left
// them, and reports whether no take was refused.
func (b *batch) try() bool {
	ok := true
	for i := range b.ops {
		op := &b.ops[i]
		state := &b.places[b.places[i].first].state
		var t trial
		op.try(state, b.now, &t)
		if op.Result.Allowed {
			op.apply(state, b.now, &t)
		} else if op.Kind == OpTake {
			ok = false
		}
	}
	return ok
}

// write puts the copies in the place of the buckets. Only buckets that are not
// full are worth a place of their own.
func (b *batch) write() {
	for i := range b.places {
		p := &b.places[i]
		switch {
		case p.first != i:
		case p.b != nil:
			*p.b = p.state
		case !p.state.isFull(b.now):
			op := &b.ops[i]
			p.b = b.s.shard(p.hash).insert(op.Limit.id, &op.Key, p.hash)
			*p.b = p.state
			p.room = false
		}
	}
}

// report completes the Result of op i, and gives back room that was not used.
func (b *batch) report(i int) {
	p := &b.places[i]
	if p.room {
		b.s.keys.Add(-1)
		p.room = false
	}
	op, first := &b.ops[i], &b.places[p.first]
	op.Result.Overflow = first.over
	if first.b != nil {
		op.report(first.b, b.now)
	} else {
		op.report(new(bucket), b.now)
	}
}
