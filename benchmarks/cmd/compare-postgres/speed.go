package main

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/store"
)

const callers = 64

// A subject is a store with a number of keys.
type subject struct {
	server *server
	keys   int
	limits []*store.Limit

	filled float64   // keys per second that were new
	speeds []float64 // decisions per second, for each round
}

// newSubject returns a subject with limits that no key reaches, and whose buckets stay not full.
func newSubject(s *server, keys int) (*subject, error) {
	sub := &subject{server: s, keys: keys}
	for i, period := range []time.Duration{time.Hour, time.Minute, time.Second} {
		l, err := store.NewLimit("keys"+strconv.Itoa(keys), i, 1, period, 500_000)
		if err != nil {
			return nil, err
		}
		sub.limits = append(sub.limits, l)
	}
	return sub, nil
}

func (s *subject) take(ctx context.Context, key int) error {
	k := ratelimit.UserKey(strconv.Itoa(key))
	ops := make([]store.Op, len(s.limits))
	for i, l := range s.limits {
		ops[i] = store.Op{Limit: l, Key: k, Cost: 1}
	}
	return s.server.store.Apply(ctx, ops)
}

// fill takes once from each key.
func (s *subject) fill(ctx context.Context) error {
	var next atomic.Int64
	begin := time.Now()
	err := together(func() (bool, error) {
		k := int(next.Add(1)) - 1
		if k >= s.keys {
			return false, nil
		}
		return true, s.take(ctx, k)
	})
	s.filled = float64(s.keys) / time.Since(begin).Seconds()
	return err
}

// measure takes from random keys for a time.
func (s *subject) measure(ctx context.Context, d time.Duration) error {
	var n atomic.Int64
	begin := time.Now()
	err := together(func() (bool, error) {
		n.Add(1)
		return time.Since(begin) < d, s.take(ctx, rand.IntN(s.keys))
	})
	s.speeds = append(s.speeds, float64(n.Load())/time.Since(begin).Seconds())
	return err
}

// together lets all callers repeat a step, each until it is false.
func together(step func() (bool, error)) error {
	errs := make([]error, callers)
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			for more := true; more && errs[i] == nil; {
				more, errs[i] = step()
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
