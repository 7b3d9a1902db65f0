package storetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/ratelimit-go/ratelimit/store"
)

func concurrencyCases() []testCase {
	const atomically = "Apply is one atomic step."
	return []testCase{
		{"goroutines on one key", atomically, oneKey},
		{"goroutines on many keys", atomically, manyKeys},
		{"goroutines on several buckets at once", atomically, severalBuckets},
		{"goroutines that refund what they took", atomically, refundTaken},
	}
}

const goroutines = 8

// parallel calls f(0), f(1) and so on at once. It fails if any of them returns an error.
func (c *check) parallel(f func(g int) error) {
	c.Helper()
	start := make(chan struct{})
	errs := make([]error, goroutines)
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			<-start
			errs[g] = f(g)
		})
	}
	close(start)
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		c.fatalf("%v", err)
	}
}

// takeOne applies ops, and reports whether all of them were allowed.
func (c *check) takeOne(ops ...store.Op) (bool, error) {
	if err := c.store.Apply(context.Background(), ops); err != nil {
		return false, fmt.Errorf("Apply(%s) returned the error %w", show(ops), err)
	}
	allowed := true
	for _, op := range ops {
		allowed = allowed && op.Result.Allowed
	}
	return allowed, nil
}

// oneKey fails unless the allowed takes have left the bucket at each of its levels once.
func oneKey(c *check) {
	const burst = 200
	l := c.limit("r", 0, per(200, 30*day))
	seen := make([]atomic.Int64, burst+1)
	c.parallel(func(int) error {
		for range 2 * burst / goroutines {
			ops := []store.Op{take(l, user("a"), 1)}
			allowed, err := c.takeOne(ops...)
			if err != nil {
				return err
			}
			if left := ops[0].Result.Remaining; allowed && 0 <= left && left <= burst {
				seen[left].Add(1)
			}
		}
		return nil
	})
	for left := range seen {
		if n, want := seen[left].Load(), int64(1); n != want && left < burst {
			c.fatalf("%d takes were allowed that left %d of %d tokens, want %d", n, left, burst, want)
		}
	}
	if n := seen[burst].Load(); n > 0 {
		c.fatalf("%d takes were allowed that left the bucket full", n)
	}
	c.wantSpent("after goroutines", l, user("a"), burst)
}

func manyKeys(c *check) {
	l := c.limit("r", 0, per(20, 30*day))
	keys := make([]store.Key, 16)
	for i := range keys {
		keys[i] = user(fmt.Sprint(i))
	}
	taken := make([]atomic.Int64, len(keys))
	c.parallel(func(g int) error {
		for i := range 5 * len(keys) {
			n := (i + g) % len(keys)
			allowed, err := c.takeOne(take(l, keys[n], 1))
			if err != nil {
				return err
			}
			if allowed {
				taken[n].Add(1)
			}
		}
		return nil
	})
	for i, k := range keys {
		if n := taken[i].Load(); n != 20 {
			c.fatalf("40 takes from a bucket of 20: %d were allowed", n)
		}
		c.wantSpent("after goroutines", l, k, 20)
	}
}

// severalBuckets takes from several buckets in all orders. A store that locks them one by one in
// the order of ops deadlocks. The allowed takes must be what the buckets lack.
func severalBuckets(c *check) {
	const burst = 60
	buckets := []store.Op{
		take(c.limit("r", 0, per(60, 30*day)), user("a"), 1),
		take(c.limit("r", 1, per(60, 30*day)), user("a"), 1),
		take(c.limit("r", 0, per(60, 30*day)), user("b"), 1),
		take(c.limit("s", 0, per(60, 30*day)), user("a"), 1),
	}
	spent := make([]atomic.Int64, len(buckets))
	denied := make([]atomic.Bool, 1<<len(buckets)) // by the set of buckets
	c.parallel(func(g int) error {
		for i := range 100 {
			set := 1 + (i*7+g*3)%(1<<len(buckets)-1)
			var ops []store.Op
			for n := range buckets {
				if set>>n&1 == 1 {
					ops = append(ops, buckets[n])
				}
			}
			if g%2 == 1 {
				slices.Reverse(ops)
			}
			allowed, err := c.takeOne(ops...)
			switch {
			case err != nil:
				return err
			case !allowed:
				denied[set].Store(true)
				continue
			}
			for n := range buckets {
				spent[n].Add(int64(set >> n & 1))
			}
		}
		return nil
	})
	full := 0
	for n, op := range buckets {
		c.wantSpent("what allowed batches took", op.Limit, op.Key, spent[n].Load())
		if spent[n].Load() == burst {
			full |= 1 << n
		}
	}
	for set := range denied {
		if denied[set].Load() && set&full == 0 {
			c.fatalf("a batch on buckets %04b was denied, though only %04b are empty", set, full)
		}
	}
}

// refundTaken uses a bucket of 3 tokens to bound what is in use at once.
func refundTaken(c *check) {
	l := c.limit("r", 0, per(3, 30*day))
	var inUse atomic.Int64
	c.parallel(func(int) error {
		for range 100 {
			allowed, err := c.takeOne(take(l, user("a"), 1))
			if err != nil {
				return err
			}
			if !allowed {
				continue
			}
			n := inUse.Add(1)
			for range 10 {
				runtime.Gosched() // hold the token while other goroutines ask for it
			}
			inUse.Add(-1)
			if _, err := c.takeOne(refund(l, user("a"), 1)); err != nil {
				return err
			}
			if n > 3 {
				return fmt.Errorf("%d tokens of a bucket of 3 were in use at once", n)
			}
		}
		return nil
	})
	c.wantSpent("after all refunds", l, user("a"), 0)
}
