// Command compare-postgres measures decisions in PostgreSQL beside decisions in Redis, in one run.
// It starts its own servers, and says which of the goals of this repository are met.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"runtime"
	"slices"
	"time"
)

func main() {
	rounds := flag.Int("rounds", 7, "number of rounds; the results are medians")
	each := flag.Duration("time", time.Second, "how long each store runs in each round")
	most := flag.Int("keys", 1_000_000, "the greatest number of keys")
	flag.Parse()
	if err := run(context.Background(), *rounds, *each, *most); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, rounds int, each time.Duration, most int) (err error) {
	redis, err := startRedis(ctx)
	if err != nil {
		return err
	}
	defer redis.stop()
	postgres, err := startPostgres(ctx)
	if err != nil {
		return err
	}
	defer postgres.stop()
	var all []*subject
	for _, keys := range []int{1000, 10_000, 100_000, 1_000_000} {
		if keys > most {
			break
		}
		for _, s := range []*server{redis, postgres} {
			sub, err := newSubject(s, keys)
			if err != nil {
				return err
			}
			if err := sub.fill(ctx); err != nil {
				return err
			}
			all = append(all, sub)
		}
	}
	fmt.Printf("%s %s/%s, %d processors, %s, %s, %d callers, three limits, medians of %d rounds of %v\n\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(),
		redis.version, postgres.version, callers, rounds, each)
	for round := range rounds {
		for i := range all { // in turn, so that other work of the machine disturbs all
			if err := all[(i+2*round)%len(all)].measure(ctx, each); err != nil {
				return err
			}
		}
	}
	report(all)
	return nil
}

// report prints the medians. Subjects are pairs of Redis and PostgreSQL.
func report(all []*subject) {
	fmt.Println("| keys | Redis, a second | PostgreSQL, a second | of Redis | new keys, a second |")
	fmt.Println("| ---: | ---: | ---: | ---: | ---: |")
	low, speeds := 1.0, []float64(nil)
	for i := 0; i+1 < len(all); i += 2 {
		redis, postgres := all[i], all[i+1]
		a, b := median(redis.speeds), median(postgres.speeds)
		low, speeds = min(low, b/a), append(speeds, b)
		fmt.Printf("| %d | %.0f | %.0f | %.2f | %.0f |\n", redis.keys, a, b, b/a, postgres.filled)
	}
	fmt.Println()
	goal(low >= 1.0/3, "decisions in PostgreSQL, to Redis: at least %.2f (want a third)", low)
	flat := speeds[len(speeds)-1] / speeds[0]
	goal(flat >= 0.8, "most keys, to fewest: %.2f (want 0.8)", flat)
}

func median(x []float64) float64 {
	sorted := slices.Sorted(slices.Values(x))
	return sorted[len(sorted)/2]
}

// goal prints a goal, and whether it is met.
func goal(met bool, format string, args ...any) {
	word := "met"
	if !met {
		word = "missed"
	}
	fmt.Printf("- %s: %s\n", fmt.Sprintf(format, args...), word)
}
