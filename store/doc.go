// Package store is the contract between a limiter and the place where its buckets live.
//
// Most programs never import it: they use the limiter's own memory or a store from another module,
// such as redisstore. Import it to write a store, to wrap one, or to read the reason of a failure.
//
// A [Store] has one method, Apply. It decides a batch of ops in one atomic step: all of them are
// applied, or none. Each [Op] names a [Limit], a [Key] and a cost, and receives its [Result] in
// place. A [Bucket] is the exact arithmetic of one bucket for stores written in Go. This is a whole
// store:
//
//	type bucketID struct {
//		limit uint64
//		key   store.Key
//	}
//
//	type Map struct {
//		mu      sync.Mutex
//		buckets map[bucketID]store.Bucket
//	}
//
//	func (m *Map) Apply(_ context.Context, ops []store.Op) error {
//		if err := store.CheckOps(ops); err != nil {
//			return err
//		}
//		m.mu.Lock()
//		defer m.mu.Unlock()
//		now := time.Since(start)
//		after := map[bucketID]store.Bucket{}
//		...
//	}
//
// The package storetest holds the tests that every store must pass. The whole program is in
// examples/store.
//
// A [Leaser] is a store that also counts requests in flight. A store can tell the [Reason] of its
// failures.
package store
