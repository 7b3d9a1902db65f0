package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/go-redis/redis_rate/v10"
)

// countRoundTrips counts the scripts that the limiter sends to the server.
func countRoundTrips(ctx context.Context, s *server) error {
	const n = 1000
	const limits = "100_000 per hour; 1_000_000 per day; 10_000_000 per week"
	l, err := newLimiter(newStore(s.client), "trips", limits)
	if err != nil {
		return err
	}
	take := func(user string, cost int64, want bool) error {
		d, err := takeFrom(ctx, l, "trips", user, cost)
		if err != nil || d.Allowed != want {
			return fmt.Errorf("a decision: %+v, %w: want allowed %v", d, err, want)
		}
		return nil
	}
	three, err := s.during(ctx, n, func(i int) error { return take(strconv.Itoa(i%10), 1, true) })
	if err != nil {
		return err
	}
	if err := errors.Join(take("denied", 100_000, true), take("denied", 1000, false)); err != nil {
		return err
	}
	again, err := s.during(ctx, n, func(int) error { return take("denied", 1000, false) })
	if err != nil {
		return err
	}
	fmt.Printf("\n## Round trips (EVALSHA and EVAL in INFO commandstats, for %d decisions)\n\n", n)
	goal(three == n, "for a decision with three limits on one key: %v (want 1)", float64(three)/n)
	goal(again == 0, "for a key already denied: %v (want 0)", float64(again)/n)
	return nil
}

// during returns how many scripts the server receives while f runs n times.
func (s *server) during(ctx context.Context, n int, f func(i int) error) (int, error) {
	before, err := s.scripts(ctx)
	if err != nil {
		return 0, err
	}
	for i := range n {
		if err := f(i); err != nil {
			return 0, err
		}
	}
	after, err := s.scripts(ctx)
	return after - before, err
}

// measureMemory measures the memory of one key among many that live for an hour. Each library has
// its own server.
func measureMemory(ctx context.Context) error {
	const n = 50_000
	fmt.Printf("\n## Memory (used_memory of %d keys, divided)\n\n"+
		"| library | bytes in Redis for each key |\n| --- | ---: |\n", n)
	ours := func(limits string) func(*server) (take, error) {
		return func(s *server) (take, error) {
			return ourTake(newStore(s.client), "per-client", limits)
		}
	}
	peer := func(s *server) (take, error) {
		l := redis_rate.NewLimiter(s.client)
		return func(ctx context.Context, key string) error {
			_, err := l.Allow(ctx, "per-client:"+key, redis_rate.PerHour(1))
			return err
		}, nil
	}
	var one float64
	for _, lib := range []struct {
		name string
		open func(*server) (take, error)
	}{
		{"ratelimit, one limit of the rule per-client", ours("1 per hour")},
		{"ratelimit, three limits of the rule per-client", ours("10 per hour; 100 per day; 1000 per week")},
		{"redis_rate, one limit", peer},
	} {
		bytes, err := bytesOf(ctx, lib.open, n)
		if err != nil {
			return err
		}
		if one == 0 {
			one = bytes
		}
		fmt.Printf("| %s | %.0f |\n", lib.name, bytes)
	}
	fmt.Println()
	goal(one <= 150, "for a key with one limit: %.0f bytes (want at most 150)", one)
	return nil
}

// bytesOf returns the memory in a new server for each of n keys.
func bytesOf(ctx context.Context, open func(*server) (take, error), n int) (float64, error) {
	s, err := startServer(ctx)
	if err != nil {
		return 0, err
	}
	defer s.stop()
	f, err := open(s)
	if err != nil {
		return 0, err
	}
	if err := f(ctx, "loads the script"); err != nil {
		return 0, err
	}
	before, err := s.number(ctx, "memory", "used_memory")
	if err != nil {
		return 0, err
	}
	for i := range n {
		if err := f(ctx, "192.0.2."+strconv.Itoa(i)); err != nil {
			return 0, err
		}
	}
	after, err := s.number(ctx, "memory", "used_memory")
	return (after - before) / float64(n), err
}
