package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

const (
	callers = 64
	keys    = 10_000
)

// library is a subject of the comparison.
type library struct {
	name string
	take take

	// Microseconds per decision, for each round: by the clock, and of the processors on each side.
	us, client, server []float64
}

func compareSpeed(ctx context.Context, s *server, rounds int, each time.Duration) error {
	other, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{s.addr}, DisableCache: true})
	if err != nil {
		return err
	}
	defer other.Close()
	libs, err := libraries(s, other)
	if err != nil {
		return err
	}
	for round := range rounds {
		for i := range libs {
			lib := libs[(i+round)%len(libs)] // so that other work of the machine disturbs all
			if err := lib.measure(ctx, s, each); err != nil {
				return fmt.Errorf("%s: %w", lib.name, err)
			}
		}
	}
	reportSpeed(libs)
	return nil
}

// measure measures one round with all callers at work.
func (lib *library) measure(ctx context.Context, s *server, d time.Duration) error {
	serverBefore, err := s.cpu(ctx)
	if err != nil {
		return err
	}
	counts, errs := make([]int, callers), make([]error, callers)
	clientBefore, start := processTime(), time.Now()
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			for time.Since(start) < d && errs[i] == nil {
				errs[i] = lib.take(ctx, strconv.Itoa(rand.IntN(keys)))
				counts[i]++
			}
		})
	}
	all.Wait()
	took, client, n := time.Since(start), processTime()-clientBefore, 0
	for i := range callers {
		if errs[i] != nil {
			return errs[i]
		}
		n += counts[i]
	}
	serverAfter, err := s.cpu(ctx)
	if err != nil {
		return err
	}
	per := 1e6 / float64(n)
	lib.us, lib.client = append(lib.us, took.Seconds()*per), append(lib.client, client.Seconds()*per)
	lib.server = append(lib.server, (serverAfter-serverBefore)*per)
	return nil
}

func median(x []float64) float64 {
	sorted := slices.Sorted(slices.Values(x))
	return sorted[len(sorted)/2]
}

// cost is the time of one decision: by the clock, and of the processors on both sides. A busy
// machine disturbs the time of the processors less.
type cost struct{ clock, processors float64 }

func (c cost) to(o cost) cost { return cost{c.clock / o.clock, c.processors / o.processors} }

func (c cost) String() string {
	return fmt.Sprintf("%.2f times by the clock and %.2f by processor time", c.clock, c.processors)
}

func reportSpeed(libs []*library) {
	costs := map[string]cost{}
	for _, lib := range libs {
		costs[lib.name] = cost{median(lib.us), median(lib.client) + median(lib.server)}
	}
	fmt.Printf("\n## Decisions, %d callers, %d random keys\n\n", callers, keys)
	fmt.Println("| library | us for one | per second | of redis_rate " +
		"| processor time of the client, us | of the server | both, of redis_rate |")
	fmt.Println("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
	for _, lib := range libs {
		own := costs[lib.name]
		gain := costs[redisRate].to(own)
		fmt.Printf("| %s | %.1f | %.0f | %.2f | %.1f | %.1f | %.2f |\n", lib.name, own.clock, 1e6/own.clock,
			gain.clock, median(lib.client), median(lib.server), gain.processors)
	}
	fmt.Println("\nA goal is met if it is met by both measures.")
	fmt.Println()
	best := ours
	if costs[oursOther].processors < costs[ours].processors {
		best = oursOther
	}
	gain, ahead := costs[redisRate].to(costs[best]), costs[ulule].to(costs[best])
	goal(gain.atLeast(2.5), "the best client (%s) to redis_rate: %v (want 2.5)", best, gain)
	goal(ahead.atLeast(1), "the best client to ulule: %v (want more than 1)", ahead)
	gain = costs[redisRate].to(costs[ours])
	goal(gain.atLeast(1.4), "through go-redis, to redis_rate: %v (want 1.4)", gain)
	more := costs[oursThree].to(costs[ours])
	goal(more.clock <= 1.5 && more.processors <= 1.5, "three limits, to one: %v (want at most 1.5)", more)
}

func (c cost) atLeast(x float64) bool { return c.clock >= x && c.processors >= x }
