package store

import (
	"context"
	"fmt"
	"time"
)

// A Leaser is a [Store] that also counts the requests in flight of all instances, for rules with
// InFlight. The ability is optional. A Store that wraps another has it only
// if it implements Lease itself.
//
// A request in flight holds a lease for each such rule. A lease ends by itself after a time unless
// it is renewed, so the leases of an instance that died become free.
//
// Lease is one atomic step that does the same to all of leases. It acquires all of them or none,
// and finds the answer to each in its Granted. The rules of [Store] for errors, contexts, retries
// and for what may be kept hold here too. The package storetest has tests for it.
type Leaser interface {
	Lease(ctx context.Context, kind LeaseKind, leases []Lease) error
}

// A Lease is the right of one request to be in flight. A field that is added in the future will
// keep today's meaning if it is zero.
type Lease struct {
	// Rule and Key say under which count the lease falls.
	Rule string
	Key  Key
	// ID names the owner. It is random, and the same for all leases of a request. An ID has at most
	// one lease under a Rule and Key.
	ID [16]byte
	// Max is, for Acquire, how many leases Rule and Key may have, this one included.
	Max int
	// TTL is, for Acquire and Renew, how long the lease lasts from now.
	TTL time.Duration
	// Granted is the answer.
	Granted bool
}

// LeaseKind says what [Leaser.Lease] does.
type LeaseKind uint8

const (
	// Acquire takes the leases if there is room for each of them, and no lease otherwise. A lease
	// that its ID holds already has room, and is renewed. Granted says whether there was room.
	Acquire LeaseKind = iota
	// Renew makes the leases last for TTL from now on. A lease that has ended is taken again even
	// if there is no room, because its request is still in flight. Granted says whether the lease
	// was still there.
	Renew
	// Release ends the leases. Granted says whether they were there.
	Release
)

// String returns the name of the constant, such as "Acquire".
func (k LeaseKind) String() string {
	names := [...]string{"Acquire", "Renew", "Release"}
	if int(k) >= len(names) {
		return fmt.Sprintf("LeaseKind(%d)", uint8(k))
	}
	return names[k]
}

// MarshalText implements [encoding.TextMarshaler]. The text is the text of String.
func (k LeaseKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// CheckLeases returns an error that wraps [ErrInvalidOp] and names the first lease that has no Key
// or, where they count, no Max of at least 1 or no TTL of at least a millisecond. It also rejects
// an unknown kind. Implementers of [Leaser] call it before they change anything.
func CheckLeases(kind LeaseKind, leases []Lease) error {
	if kind > Release {
		return fmt.Errorf("%w: unknown kind of lease %d", ErrInvalidOp, kind)
	}
	for i := range leases {
		switch e := &leases[i]; {
		case e.Key.IsZero():
			return fmt.Errorf("%w: leases[%d] (rule %q) has the zero Key", ErrInvalidOp, i, e.Rule)
		case kind == Acquire && e.Max < 1:
			return fmt.Errorf("%w: leases[%d] (rule %q) has the Max %d", ErrInvalidOp, i, e.Rule, e.Max)
		case kind != Release && e.TTL < time.Millisecond:
			return fmt.Errorf("%w: leases[%d] (rule %q) has the TTL %v", ErrInvalidOp, i, e.Rule, e.TTL)
		}
	}
	return nil
}
