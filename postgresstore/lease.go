package postgresstore

import (
	"context"
	"encoding/binary"
	"slices"

	"github.com/ratelimit-go/ratelimit/store"
)

// Lease implements [store.Leaser] by one statement for all leases of a request. The clock is the
// server's.
//
// If the server failed, or could not be reached, the error is an [*Error]. The leases may have
// changed nevertheless. A lease that was acquired so ends by itself. More than 512 leases are a
// [store.ErrInvalidOp].
func (s *Store) Lease(ctx context.Context, kind store.LeaseKind, leases []store.Lease) error {
	if err := store.CheckLeases(kind, leases); err != nil {
		return err
	}
	if len(leases) == 0 || ctx.Err() != nil {
		return ctx.Err()
	}
	if err := checkBatch(len(leases)); err != nil {
		return err
	}
	keys, ids := make([][]byte, len(leases)), make([][]byte, len(leases))
	most, ttls := make([]int64, len(leases)), make([]int64, len(leases))
	locks := make([]int64, len(leases))
	for i := range leases {
		e := &leases[i]
		k := s.naming.tag(e.Key).leases(e.Rule)
		keys[i], ids[i], most[i], ttls[i] = k[:], e.ID[:], int64(e.Max), min(int64(e.TTL), maxSpan)
		locks[i] = int64(binary.BigEndian.Uint64(k[:]) ^ binary.BigEndian.Uint64(k[tagBytes:]))
	}
	slices.Sort(locks)
	locks = slices.Compact(locks)
	oids := []uint32{oidInt4, oidByteaArray, oidByteaArray, oidInt8Array, oidInt8Array, oidInt8Array}
	values := [][]byte{
		integer(int32(kind)), byteas(keys), byteas(ids), bigints(most), bigints(ttls), bigints(locks),
	}
	select { // leases of one key wait for each other, and must not have all connections
	case s.leasing <- struct{}{}:
		defer func() { <-s.leasing }()
	case <-ctx.Done():
		return newError(ctx.Err())
	}
	granted, err := retry(func() ([]int64, error) {
		answer, err := s.server.query(ctx, s.sql.lease, oids, values)
		if err != nil {
			return nil, err
		}
		return readBigints(answer)
	})
	switch {
	case err != nil:
		return newError(s.explain(ctx, err))
	case len(granted) != len(leases) || slices.Max(granted) > 1 || slices.Min(granted) < 0:
		return newError(errReply)
	}
	for i := range leases {
		leases[i].Granted = granted[i] != 0
	}
	return nil
}
