package storetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/key"
	"github.com/ratelimit-go/ratelimit/store"
)

// RunLeases is [Run] for leases. The store that h makes must be a [store.Leaser].
func RunLeases(t *testing.T, h Harness) {
	t.Helper()
	h.runAll(t, leaseCases())
}

func leaseCases() []testCase {
	const (
		most    = "Acquire takes the leases if there is room for each of them, and no lease otherwise."
		all     = "Lease acquires all of the leases or none."
		held    = "A lease that its ID holds already has room, and is renewed."
		renewed = "Renew makes the leases last for TTL from now on. " +
			"A lease that has ended is taken again even if there is no room."
		ends    = "A lease ends by itself after its TTL."
		invalid = "For a lease that CheckLeases rejects, Lease returns ErrInvalidOp, and changes no lease."
		done    = "Lease must return when ctx is done."
	)
	return []testCase{
		{"leases stop at Max", most, leaseMost},
		{"leases stop at a lowered Max", most, leaseLowered},
		{"leases are acquired all or none", all, leaseAllOrNone},
		{"a lease that is held is renewed", held, leaseHeld},
		{"a lease lasts as long as it is renewed", renewed, leaseRenewed},
		{"a renewal takes an ended lease again", renewed, leaseEnded},
		{"the leases of a dead instance end", ends, leaseDead},
		{"invalid leases are errors", invalid, leaseInvalid},
		{"a done context takes no lease", done, leaseDone},
		{"goroutines that acquire and release", most, leaseAtOnce},
	}
}

// newLease returns the lease of request n of a user, under a rule.
func (c *check) newLease(rule, user string, n int, most int) store.Lease {
	id := [16]byte{byte(n), byte(n >> 8), 1}
	return store.Lease{Rule: rule, Key: key.Text(key.User, user), ID: id, Max: most, TTL: c.unit()}
}

// lease calls Lease, which must not fail, with a copy of leases. It returns what was granted.
func (c *check) lease(kind store.LeaseKind, leases ...store.Lease) []bool {
	c.Helper()
	given := slices.Clone(leases)
	granted := make([]bool, len(given))
	if err := c.store.(store.Leaser).Lease(context.Background(), kind, given); err != nil {
		c.fatalf("Lease(%d, %+v) returned the error %v", kind, leases, err)
	}
	for i := range given {
		granted[i], given[i].Granted = given[i].Granted, leases[i].Granted
		if given[i] != leases[i] {
			c.fatalf("Lease changed lease %d itself, not its Granted", i)
		}
	}
	return granted
}

func (c *check) wantLease(kind store.LeaseKind, want bool, e store.Lease) {
	c.Helper()
	e.Granted = !want
	if got := c.lease(kind, e)[0]; got != want {
		c.fatalf("kind %d of lease %v of rule %q: Granted is %v, want %v", kind, e.ID[:2], e.Rule, got, want)
	}
}

func leaseMost(c *check) {
	for n := range 3 {
		c.wantLease(store.Acquire, true, c.newLease("r", "a", n, 3))
	}
	c.wantLease(store.Acquire, false, c.newLease("r", "a", 3, 3))
	c.wantLease(store.Acquire, true, c.newLease("r", "b", 3, 3))
	c.wantLease(store.Acquire, true, c.newLease("other", "a", 3, 3))
	c.wantLease(store.Release, true, c.newLease("r", "a", 1, 0))
	c.wantLease(store.Release, false, c.newLease("r", "a", 1, 0))
	c.wantLease(store.Release, false, c.newLease("r", "a", 3, 0))
	c.wantLease(store.Acquire, true, c.newLease("r", "a", 4, 3))
	c.wantLease(store.Acquire, false, c.newLease("r", "a", 5, 3))
	if got := c.lease(store.Acquire); len(got) != 0 {
		c.fatalf("no leases: %v", got)
	}
}

func leaseLowered(c *check) {
	for n := range 3 {
		c.wantLease(store.Acquire, true, c.newLease("r", "a", n, 3))
	}
	c.wantLease(store.Release, true, c.newLease("r", "a", 0, 0))
	c.wantLease(store.Acquire, false, c.newLease("r", "a", 4, 2))
	c.wantLease(store.Release, true, c.newLease("r", "a", 1, 0))
	c.wantLease(store.Acquire, true, c.newLease("r", "a", 4, 2))
}

func leaseAllOrNone(c *check) {
	c.wantLease(store.Acquire, true, c.newLease("full", "a", 0, 1))
	for n := 1; n <= 3; n++ {
		full := c.newLease("full", "a", n, 1)
		got := c.lease(store.Acquire, c.newLease("r", "a", n, 2), full, c.newLease("r", "b", n, 2))
		if !slices.Equal(got, []bool{true, false, true}) {
			c.fatalf("Granted is %v, want [true false true]", got)
		}
	}
	// One ID twice in a batch is one lease, two IDs are two.
	one, two := c.newLease("r", "a", 1, 2), c.newLease("r", "a", 2, 2)
	got := c.lease(store.Acquire, one, one, two)
	if !slices.Equal(got, []bool{true, true, true}) {
		c.fatalf("Granted is %v, want all", got)
	}
	c.wantLease(store.Acquire, false, c.newLease("r", "a", 3, 2))
	full := c.newLease("full", "a", 0, 0)
	got = c.lease(store.Release, c.newLease("r", "a", 1, 0), c.newLease("r", "b", 1, 0), full)
	if !slices.Equal(got, []bool{true, false, true}) {
		c.fatalf("Granted is %v, want [true false true]", got)
	}
}

func leaseHeld(c *check) {
	c.wantLease(store.Acquire, true, c.newLease("r", "a", 0, 1))
	c.advance(c.unit() * 3 / 4)
	c.wantLease(store.Acquire, true, c.newLease("r", "a", 0, 1))
	c.advance(c.unit() * 3 / 4)
	c.wantLease(store.Acquire, false, c.newLease("r", "a", 1, 1))
	// A denied batch leaves the leases that are held as they are.
	c.lease(store.Acquire, c.newLease("r", "a", 0, 1), c.newLease("r", "a", 1, 1))
	c.advance(c.unit() / 2)
	c.wantLease(store.Acquire, true, c.newLease("r", "a", 1, 1))
}

func leaseRenewed(c *check) {
	c.wantLease(store.Acquire, true, c.newLease("r", "a", 0, 1))
	for range 3 {
		c.advance(c.unit() * 3 / 4)
		c.wantLease(store.Renew, true, c.newLease("r", "a", 0, 0))
		c.wantLease(store.Acquire, false, c.newLease("r", "a", 1, 1))
	}
	long := c.newLease("r", "a", 0, 0)
	long.TTL *= 2
	c.wantLease(store.Renew, true, long)
	c.advance(c.unit() * 3 / 2)
	c.wantLease(store.Acquire, false, c.newLease("r", "a", 1, 1))
	c.advance(c.unit() * 3 / 4)
	c.wantLease(store.Acquire, true, c.newLease("r", "a", 1, 1))
}

func leaseEnded(c *check) {
	c.wantLease(store.Acquire, true, c.newLease("r", "a", 0, 1))
	c.advance(c.unit() * 5 / 4)
	c.wantLease(store.Acquire, true, c.newLease("r", "a", 1, 1))
	if got := c.lease(store.Renew, c.newLease("r", "a", 0, 0)); got[0] {
		c.fatalf("a lease that has ended was still there")
	}
	c.wantLease(store.Release, true, c.newLease("r", "a", 1, 0))
	c.wantLease(store.Acquire, false, c.newLease("r", "a", 2, 1))
	c.wantLease(store.Release, true, c.newLease("r", "a", 0, 0))
	c.wantLease(store.Acquire, true, c.newLease("r", "a", 2, 1))
}

func leaseDead(c *check) {
	c.wantLease(store.Acquire, true, c.newLease("r", "a", 0, 2))
	c.advance(c.unit() / 2)
	c.wantLease(store.Acquire, true, c.newLease("r", "a", 1, 2))
	c.wantLease(store.Acquire, false, c.newLease("r", "a", 2, 2))
	c.advance(c.unit() * 3 / 4)
	c.wantLease(store.Acquire, true, c.newLease("r", "a", 2, 2))
	c.wantLease(store.Acquire, false, c.newLease("r", "a", 3, 2))
	c.wantLease(store.Release, false, c.newLease("r", "a", 0, 0))
	c.advance(c.unit() * 5 / 4)
	c.wantLease(store.Acquire, true, c.newLease("r", "a", 4, 1))
}

func leaseInvalid(c *check) {
	good := c.newLease("r", "a", 0, 1)
	noKey, noMax, noTTL := good, good, good
	noKey.Key, noMax.Max, noTTL.TTL = store.Key{}, 0, 0
	for name, tc := range map[string]struct {
		kind store.LeaseKind
		bad  store.Lease
	}{
		"no key":             {store.Acquire, noKey},
		"no key, to renew":   {store.Renew, noKey},
		"no key, to release": {store.Release, noKey},
		"no Max":             {store.Acquire, noMax},
		"no TTL":             {store.Acquire, noTTL},
		"no TTL, to renew":   {store.Renew, noTTL},
		"an unknown kind":    {store.Release + 1, good},
	} {
		err := c.store.(store.Leaser).Lease(context.Background(), tc.kind, []store.Lease{good, tc.bad})
		if !errors.Is(err, store.ErrInvalidOp) {
			c.fatalf("%s: Lease returned %v, want an error that wraps ErrInvalidOp", name, err)
		}
		c.wantLease(store.Release, false, good)
	}
}

func leaseDone(c *check) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	e := c.newLease("r", "a", 0, 1)
	err := c.store.(store.Leaser).Lease(ctx, store.Acquire, []store.Lease{e})
	if !errors.Is(err, context.Canceled) {
		c.fatalf("Lease returned %v, want context.Canceled", err)
	}
	c.wantLease(store.Release, false, e)
}

func leaseAtOnce(c *check) {
	const most = 5
	var held, granted atomic.Int64
	c.parallel(func(g int) error {
		for n := range 50 {
			leases := []store.Lease{c.newLease("r", "a", g*50+n, most), c.newLease("r", "b", g*50+n, most+1)}
			leases[0].TTL, leases[1].TTL = time.Hour, time.Hour
			if err := c.store.(store.Leaser).Lease(context.Background(), store.Acquire, leases); err != nil {
				return fmt.Errorf("the kind Acquire returned %w", err)
			}
			if !leases[0].Granted || !leases[1].Granted {
				continue
			}
			atOnce := held.Add(1)
			runtime.Gosched() // hold the leases while other goroutines ask for them
			granted.Add(1)
			held.Add(-1)
			err := c.store.(store.Leaser).Lease(context.Background(), store.Release, leases)
			if err != nil || !leases[0].Granted || !leases[1].Granted {
				return fmt.Errorf("the kind Release of held leases returned %w and %+v", err, leases)
			}
			if atOnce > most {
				return fmt.Errorf("%d leases are held at once, want at most %d", atOnce, most)
			}
		}
		return nil
	})
	if granted.Load() == 0 {
		c.fatalf("no lease was granted")
	}
	for n := range most {
		c.wantLease(store.Acquire, true, c.newLease("r", "a", 1000+n, most))
	}
	c.wantLease(store.Acquire, false, c.newLease("r", "a", 2000, most))
}
