package memory

import (
	"maps"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/key"
	"github.com/ratelimit-go/ratelimit/store"
)

// overflow holds the buckets that keys without room share. For each limit there is one for each
// network. Keys that show no network are divided into groups by their keyed hash.
type overflow struct {
	mu       sync.Mutex // taken after the locks of shards
	now      time.Duration
	tables   map[uint64]*shard // by the ID of the limit; their keys are networks and groups
	most     int               // tables, before full ones are forgotten
	networks int               // buckets of a limit
	groups   uint64
	count    atomic.Int64
}

// rest is the key of the bucket that wide networks share if there are too many of them.
var rest = key.Group(math.MaxUint64)

func (o *overflow) prepare(maxKeys int) {
	o.tables, o.most = map[uint64]*shard{}, 64
	o.networks = min(max(maxKeys/16, 64), keysPerShard)
	o.groups = uint64(min(max(maxKeys/64, 1), 256))
}

// table returns the table of the limit id. A configuration that changes again and again leaves
// tables behind, so table forgets those whose buckets are all full.
func (o *overflow) table(id uint64, now time.Duration) *shard {
	t := o.tables[id]
	if t == nil {
		if len(o.tables) > o.most {
			maps.DeleteFunc(o.tables, func(_ uint64, t *shard) bool { return !t.owes(now) })
			o.most = max(o.most, 2*len(o.tables))
		}
		t = &shard{shared: true}
		o.tables[id] = t
	}
	return t
}

// owes reports whether any bucket of sh is not full.
func (sh *shard) owes(now time.Duration) bool {
	for i := range sh.slots {
		if sl := &sh.slots[i]; sl.id != 0 && !sl.Full(now) {
			return true
		}
	}
	return false
}

// common returns the key by which k shares a bucket.
func (o *overflow) common(k *store.Key, hash uint64) store.Key {
	if narrow, _, ok := key.Network(*k); ok {
		return narrow
	}
	return key.Group(hash >> 32 % o.groups)
}

// lockOverflow locks the buckets that keys without room share.
func (b *batch) lockOverflow() *overflow {
	o := &b.s.overflow
	if !b.full {
		o.mu.Lock()
		b.full = true
		b.setNow(max(b.now, o.now))
		o.now = b.now
	}
	return o
}

// share finds the shared buckets of places without room. Making room in a table moves buckets, so
// that happens before any pointer into it is kept.
func (b *batch) share() {
	o := b.lockOverflow()
	for i := range b.ops {
		p, op := &b.places[i], &b.ops[i]
		if !b.shares(i) {
			continue
		}
		p.common = o.common(&op.Key, p.hash)
		t, id := o.table(op.Limit.ID(), b.now), op.Limit.ID()
		if p.charges && t.find(id, &p.common, b.s.seed.Hash(&p.common)) == nil {
			if t.used >= o.networks/2 {
				t.sweep(b.s, b.now, sweepFull)
			}
			t.reserve(b.s, len(b.ops))
		}
	}
	for i := range b.ops {
		if b.shares(i) {
			b.places[i].b = b.shared(o, &b.ops[i], &b.places[i])
			b.joinSame(i)
		}
	}
}

// shares reports whether op i is the first on its bucket, and that is a shared one.
func (b *batch) shares(i int) bool {
	p := &b.places[i]
	return p.first == i && p.over && !p.alone
}

// shared returns the bucket that p shares, or nil if that is full and need not be kept. If half of
// the buckets are taken, later networks share the bucket of their wide network. So a wide network
// of many narrow ones leaves the other half to others.
func (b *batch) shared(o *overflow, op *store.Op, p *place) *store.Bucket {
	t, id := o.tables[op.Limit.ID()], op.Limit.ID()
	_, wide, ok := key.Network(op.Key)
	most := [3]int{o.networks / 2, o.networks, math.MaxInt}
	if !ok { // a group
		wide, most[0] = rest, o.networks
	}
	for i, k := range [3]*store.Key{&p.common, &wide, &rest} {
		hash := b.s.seed.Hash(k)
		if found := t.find(id, k, hash); found != nil {
			return found
		}
		if t.used < most[i] || *k == rest {
			if p.charges {
				return t.insert(id, k, hash)
			}
			return nil
		}
	}
	return nil
}

// joinSame makes op i and those on its bucket follow an earlier op on the same shared bucket.
func (b *batch) joinSame(i int) {
	for j := range i {
		if b.places[j].first == j && b.places[i].b != nil && b.places[j].b == b.places[i].b {
			for n := range b.places {
				if b.places[n].first == i {
					b.places[n].first = j
				}
			}
			return
		}
	}
}
