// Package store is the contract between a limiter and the place where its buckets live.
//
// Most programs never import it: they use the limiter's own memory or a store from another module,
// such as redisstore. Import it to write a store, to wrap one, or to read the reason of a failure.
//
// A [Store] has one method, Apply. It decides a batch of ops in one atomic step: all of them are
// applied, or none. Each [Op] names a [Limit], a [Key] and a cost, and receives its [Result] in
// place. A [Bucket] is the exact arithmetic of one bucket for stores written in Go. This is a whole
// store, except that it forgets nothing:
//
//	type Map struct {
//		mu       sync.Mutex
//		start    time.Time
//		families map[familyID]map[uint64]*store.Bucket
//	}
//
//	type familyID struct {
//		rule uint64 // its limits have IDs with the same upper 56 bits
//		key  store.Key
//	}
//
//	func NewMap() *Map {
//		return &Map{start: time.Now(), families: map[familyID]map[uint64]*store.Bucket{}}
//	}
//
//	// family returns the buckets that the key of op has under the rule of its limit.
//	func (m *Map) family(op *store.Op) map[uint64]*store.Bucket {
//		id := familyID{op.Limit.ID() >> 8, op.Key}
//		if m.families[id] == nil {
//			m.families[id] = map[uint64]*store.Bucket{}
//		}
//		return m.families[id]
//	}
//
//	// bucket returns the bucket of op. A bucket that is not there is full.
//	func (m *Map) bucket(op *store.Op) *store.Bucket {
//		family, id := m.family(op), op.Limit.ID()
//		if family[id] == nil {
//			family[id] = new(store.Bucket)
//		}
//		return family[id]
//	}
//
//	// Apply puts all buckets back as they were if a Take is denied.
//	func (m *Map) Apply(_ context.Context, ops []store.Op) error {
//		if err := store.CheckOps(ops); err != nil {
//			return err
//		}
//		m.mu.Lock()
//		defer m.mu.Unlock()
//		now := time.Since(m.start)
//		bucket := func(i int) *store.Bucket { return m.bucket(&ops[i]) }
//		family := func(i int) []*store.Bucket {
//			return slices.Collect(maps.Values(m.family(&ops[i])))
//		}
//		store.Carry(ops, now, bucket, family)
//		denied, before := false, map[*store.Bucket]store.Bucket{}
//		for i := range ops {
//			op, b := &ops[i], bucket(i)
//			if _, ok := before[b]; !ok {
//				before[b] = *b
//			}
//			if !b.Apply(op, now) && op.Kind == store.Take {
//				denied = true
//			}
//		}
//		if denied {
//			for b, was := range before {
//				*b = was
//			}
//		} else {
//			store.Spread(ops, now, bucket, family)
//		}
//		for i := range ops {
//			bucket(i).Report(&ops[i], now)
//		}
//		return nil
//	}
//
// Package storetest has the tests that every store must pass. The directory examples/store has a
// store that drops full buckets.
//
// A [Leaser] is a store that also counts requests in flight. A store can tell the [Reason] of its
// failures.
package store
