package inflight

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/ratelimit-go/ratelimit/store"
)

// The bounds of Leases.TTL, and the usual one.
const (
	DefaultTTL = 30 * time.Second
	MinTTL     = time.Second
	MaxTTL     = time.Hour
)

// renewalsPerTTL lets one renewal of a lease fail or be late.
const renewalsPerTTL = 3

// Leases is how the permits of all instances are counted in one store.
type Leases struct {
	// Store calls the store. It must return soon, even if the store hangs or ctx is canceled. The
	// Reason of its error is store.ReasonDown only if it has not called the store.
	Store interface {
		Lease(ctx context.Context, kind store.LeaseKind, leases []store.Lease) *store.Error
	}
	// TTL is the time after which a lease ends that is not renewed, because its instance has died.
	TTL time.Duration
	// Report receives the errors of the store, except those with store.ReasonDown, and an error for
	// each lease that has ended before it was renewed.
	Report func(ctx context.Context, err error)
}

var errLeaseLost = errors.New("a lease has ended before it was renewed: " +
	"more requests may be in flight than InFlight says")

// A tenure is the leases of one request in flight. It renews them until end.
type tenure struct {
	*Leases
	ctx    context.Context // of the request
	leases []store.Lease
	known  bool           // whether the store had them when it last answered
	asked  bool           // whether the store may have them, because it was called
	armed  sync.WaitGroup // of the timer, until renew has returned

	mu    sync.Mutex
	timer *time.Timer // nil if the leases are not renewed
	ended bool
}

func newTenure(ctx context.Context, l *Leases, held []Permit) *tenure {
	t := &tenure{Leases: l, ctx: ctx, leases: make([]store.Lease, len(held))}
	var id [16]byte
	binary.NativeEndian.PutUint64(id[:8], rand.Uint64())
	binary.NativeEndian.PutUint64(id[8:], rand.Uint64())
	for i := range held {
		p := &held[i]
		t.leases[i] = store.Lease{Rule: p.Rule, Key: p.Key, ID: id, Max: p.Max, TTL: l.TTL}
	}
	return t
}

// ask calls the store about the leases, and reports its error.
func (t *tenure) ask(kind store.LeaseKind) *store.Error {
	before := t.asked
	t.asked = true // first, because a function that Store calls may end the goroutine
	err := t.Store.Lease(t.ctx, kind, t.leases)
	switch {
	case err == nil:
	case err.Reason == store.ReasonDown:
		t.asked = before
	default:
		t.Report(t.ctx, &store.Error{Reason: err.Reason, Err: fmt.Errorf("lease: %w", err.Err)})
	}
	return err
}

// missing returns the index of the first lease that was not granted, or -1.
func (t *tenure) missing() int {
	return slices.IndexFunc(t.leases, func(e store.Lease) bool { return !e.Granted })
}

// arm has the leases renewed after a while, unless they have ended.
func (t *tenure) arm() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.ended {
		t.armed.Add(1)
		t.timer = time.AfterFunc(t.TTL/renewalsPerTTL, t.renew)
	}
}

// renew is what the timer calls. If it fails, the next renewal may work.
func (t *tenure) renew() {
	defer t.armed.Done()
	defer t.arm()
	if t.ask(store.Renew) != nil {
		return
	}
	if i := t.missing(); t.known && i >= 0 {
		t.Report(t.ctx, fmt.Errorf("ratelimit: rule %q: %w", t.leases[i].Rule, errLeaseLost))
	}
	t.known = true
}

// end releases the leases after a renewal that is under way, and leaves nothing running.
func (t *tenure) end() {
	t.mu.Lock()
	t.ended = true
	stopped := t.timer != nil && t.timer.Stop()
	t.mu.Unlock()
	if stopped {
		t.armed.Done()
	}
	t.armed.Wait()
	if t.asked {
		_ = t.ask(store.Release) // ask reports it; the leases then end by themselves
	}
}

// CheckTTL reports that no lease can last for ttl, if that is so. Zero means [DefaultTTL].
func CheckTTL(ttl time.Duration) error {
	if ttl == 0 || ttl >= MinTTL && ttl <= MaxTTL {
		return nil
	}
	return fmt.Errorf("%v: want %v to %v, or 0 for %v", ttl, MinTTL, MaxTTL, DefaultTTL)
}
