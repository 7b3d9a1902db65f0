package memory

import "github.com/ratelimit-go/ratelimit/store"

// carry lets buckets begin with what other versions of their rules have charged.
func (b *batch) carry() {
	store.Carry(b.ops, b.now, func(i int) *store.Bucket {
		if p := &b.places[b.places[i].first]; !p.over {
			return &p.state
		}
		return nil
	}, b.kin)
	for i := range b.places {
		switch p := &b.places[i]; {
		case p.first != i:
		case p.b != nil:
			*p.b = p.state
		default:
			p.found = p.state
		}
	}
}

// spread lets buckets of other versions count what the batch has changed.
func (b *batch) spread() {
	store.Spread(b.ops, b.now, func(i int) *store.Bucket { return b.places[b.places[i].first].b }, b.kin)
}

// kin returns the buckets of the rule and key of op i that the batch has no op for.
func (b *batch) kin(i int) []*store.Bucket {
	op, p := &b.ops[i], &b.places[i]
	if b.places[p.first].over {
		return nil
	}
	return b.s.shard(p.hash).kin(op, p.hash, func(id uint64) bool {
		for j := range b.ops {
			if b.ops[j].Limit.ID() == id && b.ops[j].Key == op.Key {
				return true
			}
		}
		return false
	})
}
