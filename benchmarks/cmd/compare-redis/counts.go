package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/go-redis/redis_rate/v10"

	"github.com/ratelimit-go/ratelimit"
)

// countRoundTrips counts the scripts that the server is sent.
func countRoundTrips(ctx context.Context, s *server) error {
	const n = 1000
	l, err := newLimiter(newStore(s.client), "trips", "100_000 per hour; 1_000_000 per day; 10_000_000 per week")
	if err != nil {
		return err
	}
	three, err := s.during(ctx, func() error {
		for i := range n {
			if d, err := l.Take(ctx, "trips", ratelimit.UserKey(strconv.Itoa(i%10)), 1); err != nil || !d.Allowed {
				return fmt.Errorf("a take was not allowed: %+v, %w", d, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	refused := ratelimit.UserKey("refused")
	if _, err := l.Take(ctx, "trips", refused, 100_000); err != nil {
		return err
	}
	if d, err := l.Take(ctx, "trips", refused, 1000); err != nil || d.Allowed {
		return fmt.Errorf("a take was not refused: %+v, %w", d, err)
	}
	again, err := s.during(ctx, func() error {
		for range n {
			if d, err := l.Take(ctx, "trips", refused, 1000); err != nil || d.Allowed {
				return fmt.Errorf("a take was not refused: %+v, %w", d, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	fmt.Printf("\n## Round trips (EVALSHA and EVAL in INFO commandstats, for %d decisions)\n\n", n)
	bar(three == n, "for a decision with three limits on one key: %v (want 1)", float64(three)/n)
	bar(again == 0, "for a key already refused: %v (want 0)", float64(again)/n)
	return nil
}

// during returns how many scripts the server has been sent while f ran.
func (s *server) during(ctx context.Context, f func() error) (int, error) {
	before, err := s.scripts(ctx)
	if err != nil {
		return 0, err
	}
	if err := f(); err != nil {
		return 0, err
	}
	after, err := s.scripts(ctx)
	return after - before, err
}

// measureMemory measures what each of many keys takes, that live for an hour. Each library has
// a server of its own.
func measureMemory(ctx context.Context) error {
	const n = 50_000
	fmt.Printf("\n## Memory (used_memory of %d keys, divided)\n\n| library | bytes in Redis for each key |\n| --- | ---: |\n", n)
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
	bar(one <= 150, "for a key with one limit: %.0f bytes (want at most 150)", one)
	return nil
}

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
	if err := f(ctx, "the first, for which the script is loaded"); err != nil {
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
