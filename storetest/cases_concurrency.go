package storetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/ratelimit-go/ratelimit"
)

func concurrencyCases() []testCase {
	const atomically = "Apply is one atomic step."
	return []testCase{
		{"goroutines on one key", atomically, oneKey},
		{"goroutines on many keys", atomically, manyKeys},
		{"goroutines on several buckets at once", atomically, severalBuckets},
		{"goroutines that give back what they took", atomically, giveBack},
	}
}

const goroutines = 8

// parallel calls f(0), f(1) and so on at once, and fails if any returns an error.
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

// takeOne takes one token of each bucket, and reports whether that was allowed.
func (c *check) takeOne(ops ...ratelimit.Op) (bool, error) {
	if err := c.store.Apply(context.Background(), ops); err != nil {
		return false, fmt.Errorf("Apply(%s) returned the error %w", show(ops), err)
	}
	allowed := true
	for _, op := range ops {
		allowed = allowed && op.Result.Allowed
	}
	return allowed, nil
}

// oneKey fails unless the takes that were allowed saw each level of the bucket once.
func oneKey(c *check) {
	const burst = 200
	l := c.named("r", 0, "200 per 30 days")
	seen := make([]atomic.Int64, burst+1)
	c.parallel(func(int) error {
		for range 2 * burst / goroutines {
			ops := []ratelimit.Op{take(l, user("a"), 1)}
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
	l := c.named("r", 0, "20 per 30 days")
	keys := make([]ratelimit.Key, 16)
	for i := range keys {
		keys[i] = user(fmt.Sprint(i))
	}
	admitted := make([]atomic.Int64, len(keys))
	c.parallel(func(g int) error {
		for i := range 5 * len(keys) {
			n := (i + g) % len(keys)
			allowed, err := c.takeOne(take(l, keys[n], 1))
			if err != nil {
				return err
			}
			if allowed {
				admitted[n].Add(1)
			}
		}
		return nil
	})
	for i, key := range keys {
		if n := admitted[i].Load(); n != 20 {
			c.fatalf("40 takes from a bucket of 20: %d were allowed", n)
		}
		c.wantSpent("after goroutines", l, key, 20)
	}
}

// severalBuckets takes from several buckets in all orders, which deadlocks if each
// is locked in turn. What is missing from a bucket must be what was allowed.
func severalBuckets(c *check) {
	const burst = 60
	buckets := []ratelimit.Op{
		take(c.named("r", 0, "60 per 30 days"), user("a"), 1),
		take(c.named("r", 1, "60 per 30 days"), user("a"), 1),
		take(c.named("r", 0, "60 per 30 days"), user("b"), 1),
		take(c.named("s", 0, "60 per 30 days"), user("a"), 1),
	}
	spent := make([]atomic.Int64, len(buckets))
	refused := make([]atomic.Bool, 1<<len(buckets)) // by the set of buckets
	c.parallel(func(g int) error {
		for i := range 100 {
			set := 1 + (i*7+g*3)%(1<<len(buckets)-1)
			var ops []ratelimit.Op
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
				refused[set].Store(true)
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
		c.wantSpent("what batches took, and those that were refused did not", op.Limit, op.Key, spent[n].Load())
		if spent[n].Load() == burst {
			full |= 1 << n
		}
	}
	for set := range refused {
		if refused[set].Load() && set&full == 0 {
			c.fatalf("a batch on buckets %04b was refused, though only %04b are empty", set, full)
		}
	}
}

// giveBack uses a bucket to count what is in use: never more than it holds.
func giveBack(c *check) {
	l := c.named("r", 0, "3 per 30 days")
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
				runtime.Gosched() // hold the token while others ask
			}
			inUse.Add(-1)
			if _, err := c.takeOne(credit(l, user("a"), 1)); err != nil {
				return err
			}
			if n > 3 {
				return fmt.Errorf("%d tokens of a bucket of 3 were in use at once", n)
			}
		}
		return nil
	})
	c.wantSpent("when all was given back", l, user("a"), 0)
}
