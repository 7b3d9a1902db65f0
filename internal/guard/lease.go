package guard

import (
	"context"

	"github.com/ratelimit-go/ratelimit/store"
)

// CanLease reports whether the store is a [store.Leaser].
func (g *Guard) CanLease() bool { return g.leaser != nil }

// Lease lets the store acquire, renew or release leases. Call it only if [Guard.CanLease] is true.
// It returns the same errors as [Guard.Apply]. While the store recovers, Lease calls it for a
// growing share of acquisitions, and for all renewals and releases.
func (g *Guard) Lease(ctx context.Context, kind store.LeaseKind, leases []store.Lease) *store.Error {
	key := func(i int) store.Key { return leases[i].Key }
	t, ok := g.shards.allow(g.now(), kind != store.Acquire, len(leases), key)
	if !ok {
		return g.notCalled()
	}
	failure := g.call(ctx, func(ctx context.Context) error { return g.leaser.Lease(ctx, kind, leases) })
	return g.finish(ctx, g.shards.done(g.now(), &t, failure), failure)
}
