package redisstore

import (
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/ratelimit-go/ratelimit"
)

//go:embed lease.lua
var leaseText string

var leaseScript = newScript(leaseText)

var _ ratelimit.Leaser = (*Store)(nil)

// Lease implements [ratelimit.Leaser], by one script for all leases of a request. The leases of a
// rule and key are a sorted set, which expires with the last of them. An error of the server
// or of the way to it is an [*Error]. Renewals and releases whose answers were lost may have been
// done, and so may acquisitions: these end by themselves.
//
// On a Cluster, or a Ring, the leases of a request are acquired one key after another, and given
// back if a later one is not granted. The clock is the server's: where another server takes over whose
// clock is behind, leases of dead instances last longer by the difference.
func (s *Store) Lease(ctx context.Context, kind ratelimit.LeaseKind, leases []ratelimit.Lease) error {
	if err := ratelimit.CheckLeases(kind, leases); err != nil {
		return err
	}
	switch {
	case len(leases) == 0 || ctx.Err() != nil:
		return ctx.Err()
	case s.combiner.alone:
		return s.leaseByKey(ctx, kind, leases)
	}
	_, err := s.lease(ctx, kind, leases)
	return err
}

// The answers of the script for one lease.
const (
	leaseRefused = '0'
	leaseNew     = '2'
)

// lease runs the script, and returns its answers.
func (s *Store) lease(ctx context.Context, kind ratelimit.LeaseKind, leases []ratelimit.Lease) (string, error) {
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
	if len(reply) != len(leases) {
		return "", &Error{Reason: ratelimit.FailureScript, Err: fmt.Errorf("a reply of %d bytes: want %d", len(reply), len(leases))}
	}
	for i := range leases {
		leases[i].Granted = reply[i] != leaseRefused
	}
	return reply, nil
}

// leaseByKey does with leases that may be on different servers, one key after another, what lease
// does. If one to acquire is not granted, those that are new are given back.
func (s *Store) leaseByKey(ctx context.Context, kind ratelimit.LeaseKind, leases []ratelimit.Lease) error {
	var errs []error
	var fresh []ratelimit.Lease
	refused := false
	for _, at := range sameKeys(leases) {
		group := make([]ratelimit.Lease, len(at))
		for i, j := range at {
			group[i] = leases[j]
		}
		answers, err := s.lease(ctx, kind, group)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		none := strings.IndexByte(answers, leaseRefused) >= 0
		refused = refused || none
		for i, j := range at {
			leases[j].Granted = group[i].Granted
			if answers[i] == leaseNew && !none {
				fresh = append(fresh, group[i])
			}
		}
	}
	if kind == ratelimit.LeaseAcquire && len(fresh) > 0 && (refused || len(errs) > 0) {
		errs = append(errs, s.leaseByKey(ctx, ratelimit.LeaseRelease, fresh))
	}
	return errors.Join(errs...)
}

// sameKeys returns the places of the leases of each key.
func sameKeys(leases []ratelimit.Lease) [][]int {
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
