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

// library is one of those to be measured.
type library struct {
	name string
	take take

	us, client, server []float64 // microseconds for one decision, of each round: by the clock, and of processors
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
			lib := libs[(i+round)%len(libs)] // whoever disturbs us should disturb all
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

func reportSpeed(libs []*library) {
	us := map[string]float64{}
	for _, lib := range libs {
		us[lib.name] = median(lib.us)
	}
	fmt.Printf("\n## Decisions, %d callers, %d random keys\n\n", callers, keys)
	fmt.Println("| library | us for one | a second | of redis_rate | processor time of the client, us | of the server |")
	fmt.Println("| --- | ---: | ---: | ---: | ---: | ---: |")
	for _, lib := range libs {
		fmt.Printf("| %s | %.1f | %.0f | %.2f | %.1f | %.1f |\n", lib.name, us[lib.name], 1e6/us[lib.name], us[redisRate]/us[lib.name],
			median(lib.client), median(lib.server))
	}
	fmt.Println()
	best := min(us[ours], us[oursOther])
	bar(us[redisRate]/best >= 2.5 && best < us[ulule], "the best client: %.2f times redis_rate (want 2.5), %.2f times ulule (want more than 1)",
		us[redisRate]/best, us[ulule]/best)
	bar(us[redisRate]/us[ours] >= 1.4, "through go-redis: %.2f times redis_rate (want 1.4)", us[redisRate]/us[ours])
	bar(us[oursThree]/us[ours] <= 1.5, "three limits: %.2f times the time of one (want at most 1.5)", us[oursThree]/us[ours])
}
