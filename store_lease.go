package ratelimit

import (
	"context"
	"fmt"
	"time"
)

// A Leaser is a [Store] that also counts the requests in flight of all instances, for rules
// with InFlight. It is an ability that a Store may have or not; a Store that wraps another has
// it only if it says so.
//
// A request in flight holds a lease for each such rule. Leases end by themselves after a time
// unless they are renewed, so that those of an instance that has died are free again.
//
// Lease is one atomic step, which does the same to all of leases: it acquires all of them or
// none, and finds the answer to each in its Granted. What [Store] says of errors, contexts,
// retries and what may be kept holds here too. The package storetest has tests for it.
type Leaser interface {
	Lease(ctx context.Context, kind LeaseKind, leases []Lease) error
}

// A Lease is the right of one request to be in flight. Fields added in the future will mean by
// their zero value what is done today.
type Lease struct {
	// Rule and Key are what it is counted under.
	Rule string
	Key  Key
	// ID says whose it is: random, and the same for all leases of a request. Of one ID there is
	// one lease under a Rule and Key at most.
	ID [16]byte
	// Max is, for LeaseAcquire, how many there may be under Rule and Key, this one included.
	Max int
	// TTL is, for LeaseAcquire and LeaseRenew, after what time from now it ends by itself.
	TTL time.Duration
	// Granted is the answer.
	Granted bool
}

// LeaseKind is what [Leaser.Lease] does.
type LeaseKind uint8

const (
	// LeaseAcquire takes the leases if there is room for each of them, and none if not. One that
	// is held already has room, and is renewed. Granted is whether there was room for it.
	LeaseAcquire LeaseKind = iota
	// LeaseRenew makes them last for TTL from now on. One that has ended is taken again, whether
	// there is room or not, since its request is in flight all the same. Granted is whether
	// it was still there.
	LeaseRenew
	// LeaseRelease ends them. Granted is whether they were there.
	LeaseRelease
)

// CheckLeases returns an error wrapping [ErrInvalidOp] that names the first lease which has no
// Key, or, where they count, no Max of at least 1 or no TTL of at least a millisecond; or says
// that kind is unknown. It is for implementers of [Leaser], to be called before anything is changed.
func CheckLeases(kind LeaseKind, leases []Lease) error {
	if kind > LeaseRelease {
		return fmt.Errorf("%w: unknown kind of lease %d", ErrInvalidOp, kind)
	}
	for i := range leases {
		switch e := &leases[i]; {
		case e.Key.IsZero():
			return fmt.Errorf("%w: leases[%d] (rule %q) has the zero Key", ErrInvalidOp, i, e.Rule)
		case kind == LeaseAcquire && e.Max < 1:
			return fmt.Errorf("%w: leases[%d] (rule %q) has the Max %d", ErrInvalidOp, i, e.Rule, e.Max)
		case kind != LeaseRelease && e.TTL < time.Millisecond:
			return fmt.Errorf("%w: leases[%d] (rule %q) has the TTL %v", ErrInvalidOp, i, e.Rule, e.TTL)
		}
	}
	return nil
}
