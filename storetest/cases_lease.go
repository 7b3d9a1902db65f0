package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ratelimit-go/ratelimit"
)

// RunLeases is [Run] for the ability to lease: the store that h makes must be a [ratelimit.Leaser].
func RunLeases(t *testing.T, h Harness) {
	t.Helper()
	h.runAll(t, leaseCases())
}

func leaseCases() []testCase {
	const (
		most    = "LeaseAcquire takes the leases if there is room for each of them."
		all     = "It acquires all of leases or none."
		held    = "One that is held already has room, and is renewed."
		renewed = "LeaseRenew makes them last for TTL from now on. One that has ended is taken again, whether there is room or not."
		ends    = "After TTL a lease ends by itself."
		invalid = "What is not valid is an error that wraps ErrInvalidOp, and nothing may have changed."
		done    = "It must give up when ctx is done."
	)
	return []testCase{
		{"leases up to the most", most, leaseMost},
		{"leases under a lower Max", most, leaseLowered},
		{"leases of all or none", all, leaseAllOrNone},
		{"a lease held already", held, leaseHeld},
		{"a lease that is renewed", renewed, leaseRenewed},
		{"a lease that has ended", renewed, leaseEnded},
		{"a lease of a dead instance", ends, leaseDead},
		{"invalid leases", invalid, leaseInvalid},
		{"leases and a context that is done", done, leaseDone},
		{"leases at once", most, leaseAtOnce},
	}
}

// newLease returns the lease of request n under a rule of its user.
func (c *check) newLease(rule, key string, n int, most int) ratelimit.Lease {
	return ratelimit.Lease{Rule: rule, Key: user(key), ID: [16]byte{byte(n), byte(n >> 8), 1}, Max: most, TTL: c.unit()}
}

// lease is Lease, which must not fail, on a copy of leases.
func (c *check) lease(kind ratelimit.LeaseKind, leases ...ratelimit.Lease) []bool {
	c.Helper()
	given := slices.Clone(leases)
	granted := make([]bool, len(given))
	if err := c.store.(ratelimit.Leaser).Lease(context.Background(), kind, given); err != nil {
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

func (c *check) wantLease(kind ratelimit.LeaseKind, want bool, e ratelimit.Lease) {
	c.Helper()
	e.Granted = !want
	if got := c.lease(kind, e)[0]; got != want {
		c.fatalf("kind %d of lease %v under rule %q: Granted is %v, want %v", kind, e.ID[:2], e.Rule, got, want)
	}
}

func leaseMost(c *check) {
	for n := range 3 {
		c.wantLease(ratelimit.LeaseAcquire, true, c.newLease("r", "a", n, 3))
	}
	c.wantLease(ratelimit.LeaseAcquire, false, c.newLease("r", "a", 3, 3))
	c.wantLease(ratelimit.LeaseAcquire, true, c.newLease("r", "b", 3, 3))
	c.wantLease(ratelimit.LeaseAcquire, true, c.newLease("other", "a", 3, 3))
	c.wantLease(ratelimit.LeaseRelease, true, c.newLease("r", "a", 1, 0))
	c.wantLease(ratelimit.LeaseRelease, false, c.newLease("r", "a", 1, 0))
	c.wantLease(ratelimit.LeaseRelease, false, c.newLease("r", "a", 3, 0))
	c.wantLease(ratelimit.LeaseAcquire, true, c.newLease("r", "a", 4, 3))
	c.wantLease(ratelimit.LeaseAcquire, false, c.newLease("r", "a", 5, 3))
	if got := c.lease(ratelimit.LeaseAcquire); len(got) != 0 {
		c.fatalf("no leases: %v", got)
	}
}

func leaseLowered(c *check) {
	for n := range 3 {
		c.wantLease(ratelimit.LeaseAcquire, true, c.newLease("r", "a", n, 3))
	}
	c.wantLease(ratelimit.LeaseRelease, true, c.newLease("r", "a", 0, 0))
	c.wantLease(ratelimit.LeaseAcquire, false, c.newLease("r", "a", 4, 2))
	c.wantLease(ratelimit.LeaseRelease, true, c.newLease("r", "a", 1, 0))
	c.wantLease(ratelimit.LeaseAcquire, true, c.newLease("r", "a", 4, 2))
}

func leaseAllOrNone(c *check) {
	c.wantLease(ratelimit.LeaseAcquire, true, c.newLease("full", "a", 0, 1))
	for n := 1; n <= 3; n++ {
		got := c.lease(ratelimit.LeaseAcquire, c.newLease("r", "a", n, 2), c.newLease("full", "a", n, 1), c.newLease("r", "b", n, 2))
		if !slices.Equal(got, []bool{true, false, true}) {
			c.fatalf("Granted is %v, want [true false true]", got)
		}
	}
	// One ID in a batch twice is one lease; two are two.
	got := c.lease(ratelimit.LeaseAcquire, c.newLease("r", "a", 1, 2), c.newLease("r", "a", 1, 2), c.newLease("r", "a", 2, 2))
	if !slices.Equal(got, []bool{true, true, true}) {
		c.fatalf("Granted is %v, want all", got)
	}
	c.wantLease(ratelimit.LeaseAcquire, false, c.newLease("r", "a", 3, 2))
	got = c.lease(ratelimit.LeaseRelease, c.newLease("r", "a", 1, 0), c.newLease("r", "b", 1, 0), c.newLease("full", "a", 0, 0))
	if !slices.Equal(got, []bool{true, false, true}) {
		c.fatalf("Granted is %v, want [true false true]", got)
	}
}

func leaseHeld(c *check) {
	c.wantLease(ratelimit.LeaseAcquire, true, c.newLease("r", "a", 0, 1))
	c.advance(c.unit() * 3 / 4)
	c.wantLease(ratelimit.LeaseAcquire, true, c.newLease("r", "a", 0, 1))
	c.advance(c.unit() * 3 / 4)
	c.wantLease(ratelimit.LeaseAcquire, false, c.newLease("r", "a", 1, 1))
	// A batch that is refused leaves what is held as it is.
	c.lease(ratelimit.LeaseAcquire, c.newLease("r", "a", 0, 1), c.newLease("r", "a", 1, 1))
	c.advance(c.unit() / 2)
	c.wantLease(ratelimit.LeaseAcquire, true, c.newLease("r", "a", 1, 1))
}

func leaseRenewed(c *check) {
	c.wantLease(ratelimit.LeaseAcquire, true, c.newLease("r", "a", 0, 1))
	for range 3 {
		c.advance(c.unit() * 3 / 4)
		c.wantLease(ratelimit.LeaseRenew, true, c.newLease("r", "a", 0, 0))
		c.wantLease(ratelimit.LeaseAcquire, false, c.newLease("r", "a", 1, 1))
	}
	long := c.newLease("r", "a", 0, 0)
	long.TTL *= 2
	c.wantLease(ratelimit.LeaseRenew, true, long)
	c.advance(c.unit() * 3 / 2)
	c.wantLease(ratelimit.LeaseAcquire, false, c.newLease("r", "a", 1, 1))
	c.advance(c.unit() * 3 / 4)
	c.wantLease(ratelimit.LeaseAcquire, true, c.newLease("r", "a", 1, 1))
}

func leaseEnded(c *check) {
	c.wantLease(ratelimit.LeaseAcquire, true, c.newLease("r", "a", 0, 1))
	c.advance(c.unit() * 5 / 4)
	c.wantLease(ratelimit.LeaseAcquire, true, c.newLease("r", "a", 1, 1))
	if got := c.lease(ratelimit.LeaseRenew, c.newLease("r", "a", 0, 0)); got[0] {
		c.fatalf("a lease that has ended was still there")
	}
	c.wantLease(ratelimit.LeaseRelease, true, c.newLease("r", "a", 1, 0))
	c.wantLease(ratelimit.LeaseAcquire, false, c.newLease("r", "a", 2, 1))
	c.wantLease(ratelimit.LeaseRelease, true, c.newLease("r", "a", 0, 0))
	c.wantLease(ratelimit.LeaseAcquire, true, c.newLease("r", "a", 2, 1))
}

func leaseDead(c *check) {
	c.wantLease(ratelimit.LeaseAcquire, true, c.newLease("r", "a", 0, 2))
	c.advance(c.unit() / 2)
	c.wantLease(ratelimit.LeaseAcquire, true, c.newLease("r", "a", 1, 2))
	c.wantLease(ratelimit.LeaseAcquire, false, c.newLease("r", "a", 2, 2))
	c.advance(c.unit() * 3 / 4)
	c.wantLease(ratelimit.LeaseAcquire, true, c.newLease("r", "a", 2, 2))
	c.wantLease(ratelimit.LeaseAcquire, false, c.newLease("r", "a", 3, 2))
	c.wantLease(ratelimit.LeaseRelease, false, c.newLease("r", "a", 0, 0))
	c.advance(c.unit() * 5 / 4)
	c.wantLease(ratelimit.LeaseAcquire, true, c.newLease("r", "a", 4, 1))
}

func leaseInvalid(c *check) {
	good := c.newLease("r", "a", 0, 1)
	noKey, noMax, noTTL := good, good, good
	noKey.Key, noMax.Max, noTTL.TTL = ratelimit.Key{}, 0, 0
	for name, tc := range map[string]struct {
		kind ratelimit.LeaseKind
		bad  ratelimit.Lease
	}{
		"no key":              {ratelimit.LeaseAcquire, noKey},
		"no key, to renew":    {ratelimit.LeaseRenew, noKey},
		"no key, to release":  {ratelimit.LeaseRelease, noKey},
		"no Max":              {ratelimit.LeaseAcquire, noMax},
		"no TTL":              {ratelimit.LeaseAcquire, noTTL},
		"no TTL, to renew":    {ratelimit.LeaseRenew, noTTL},
		"a kind that is none": {ratelimit.LeaseRelease + 1, good},
	} {
		err := c.store.(ratelimit.Leaser).Lease(context.Background(), tc.kind, []ratelimit.Lease{good, tc.bad})
		if !errors.Is(err, ratelimit.ErrInvalidOp) {
			c.fatalf("%s: Lease returned %v, want an error that wraps ErrInvalidOp", name, err)
		}
		c.wantLease(ratelimit.LeaseRelease, false, good)
	}
}

func leaseDone(c *check) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	e := c.newLease("r", "a", 0, 1)
	if err := c.store.(ratelimit.Leaser).Lease(ctx, ratelimit.LeaseAcquire, []ratelimit.Lease{e}); !errors.Is(err, context.Canceled) {
		c.fatalf("Lease returned %v, want context.Canceled", err)
	}
	c.wantLease(ratelimit.LeaseRelease, false, e)
}

func leaseAtOnce(c *check) {
	const most = 5
	var now, highest, granted atomic.Int64
	var failed atomic.Pointer[string]
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			s := c.store.(ratelimit.Leaser)
			for n := range 50 {
				leases := []ratelimit.Lease{c.newLease("r", "a", g*50+n, most), c.newLease("r", "b", g*50+n, most+1)}
				leases[0].TTL, leases[1].TTL = time.Hour, time.Hour
				if err := s.Lease(context.Background(), ratelimit.LeaseAcquire, leases); err != nil {
					text := fmt.Sprint("LeaseAcquire: ", err)
					failed.Store(&text)
					return
				}
				if !leases[0].Granted || !leases[1].Granted {
					continue
				}
				highest.Store(max(highest.Load(), now.Add(1)))
				granted.Add(1)
				now.Add(-1)
				if err := s.Lease(context.Background(), ratelimit.LeaseRelease, leases); err != nil || !leases[0].Granted || !leases[1].Granted {
					text := fmt.Sprint("LeaseRelease: ", err, leases)
					failed.Store(&text)
					return
				}
			}
		})
	}
	wg.Wait()
	if text := failed.Load(); text != nil {
		c.fatalf("%s", *text)
	}
	if highest.Load() > most || granted.Load() == 0 {
		c.fatalf("%d leases at once, want at most %d; %d in all, want some", highest.Load(), most, granted.Load())
	}
	for n := range most {
		c.wantLease(ratelimit.LeaseAcquire, true, c.newLease("r", "a", 1000+n, most))
	}
	c.wantLease(ratelimit.LeaseAcquire, false, c.newLease("r", "a", 2000, most))
}
