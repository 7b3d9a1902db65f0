package redisstore

import (
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"

	"github.com/ratelimit-go/ratelimit/store"
)

//go:embed lease.lua
var leaseText string

var leaseScript = newScript(leaseText)

var _ store.Leaser = (*Store)(nil)

// Lease implements [store.Leaser] by one script for all leases of a request. The leases of a rule
// and key are a sorted set, which expires with the last of them. The clock is the server's.
//
// If the server failed, or could not be reached, the error is an [*Error]. The leases may have
// changed nevertheless. A lease that was acquired so ends by itself. On a Cluster or a Ring, Lease
// acquires the leases one key after another, and releases them if a later one is denied.
func (s *Store) Lease(ctx context.Context, kind store.LeaseKind, leases []store.Lease) error {
	if err := store.CheckLeases(kind, leases); err != nil {
		return err
	}
	switch {
	case len(leases) == 0 || ctx.Err() != nil:
		return ctx.Err()
	case s.combiner.alone.Load():
		return s.leaseByKey(ctx, kind, leases)
	}
	_, err := s.lease(ctx, kind, leases)
	if s.combiner.mustSplit(err) {
		return s.leaseByKey(ctx, kind, leases)
	}
	return err
}

// What the script replies for one lease. Other answers mean that the lease was there.
const (
	leaseDenied = '0'
	leaseNew    = '2'
)

// lease runs the script, and returns its answers.
func (s *Store) lease(ctx context.Context, kind store.LeaseKind, leases []store.Lease) (string, error) {
	names := make([]string, len(leases))
	arg := []byte{byte(kind)}
	for i := range leases {
		e := &leases[i]
		names[i] = s.naming.leases(s.naming.tag(e.Key), e.Rule)
		arg = append(arg, e.ID[:]...)
		arg = binary.BigEndian.AppendUint64(arg, math.Float64bits(float64(e.Max)))
		arg = binary.BigEndian.AppendUint64(arg, math.Float64bits(float64(e.TTL.Milliseconds())))
	}
	reply, err := s.combiner.client.RunScript(ctx, leaseScript, names, arg)
	if err != nil {
		return "", newError(err)
	}
	if len(reply) != len(leases) || strings.Trim(reply, "012") != "" {
		return "", badReply("a reply of %d bytes: want %d digits from 0 to 2", len(reply), len(leases))
	}
	for i := range leases {
		leases[i].Granted = reply[i] != leaseDenied
	}
	return reply, nil
}

// leaseByKey is lease for keys that may be on different servers. It runs the script for one key
// after another. If a lease is not acquired, it releases the new ones.
func (s *Store) leaseByKey(ctx context.Context, kind store.LeaseKind, leases []store.Lease) error {
	var errs []error
	var fresh []store.Lease
	denied := false
	for _, at := range sameKeys(leases) {
		group := make([]store.Lease, len(at))
		for i, j := range at {
			group[i] = leases[j]
		}
		answers, err := s.lease(ctx, kind, group)
		if err != nil {
			errs = append(errs, s.onShard(err, group[0].Key))
			continue
		}
		none := strings.IndexByte(answers, leaseDenied) >= 0
		denied = denied || none
		for i, j := range at {
			leases[j].Granted = group[i].Granted
			if answers[i] == leaseNew && !none {
				fresh = append(fresh, group[i])
			}
		}
	}
	if kind == store.Acquire && len(fresh) > 0 && (denied || len(errs) > 0) {
		errs = append(errs, s.leaseByKey(ctx, store.Release, fresh))
	}
	return errors.Join(errs...)
}

// sameKeys returns the places of the leases of each key.
func sameKeys(leases []store.Lease) [][]int {
	var groups [][]int
	for i := range leases {
		of := slices.IndexFunc(groups, func(at []int) bool { return leases[at[0]].Key == leases[i].Key })
		if of < 0 {
			of, groups = len(groups), append(groups, nil)
		}
		groups[of] = append(groups[of], i)
	}
	return groups
}
