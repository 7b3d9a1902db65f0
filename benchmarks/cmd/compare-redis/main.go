// Command compare-redis measures decisions in Redis beside the peers of this library. It starts its
// own server, and says which of the goals of this repository are met.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"runtime"
	"time"
)

func main() {
	rounds := flag.Int("rounds", 7, "number of rounds; the results are medians")
	each := flag.Duration("time", time.Second, "how long each library runs in each round")
	hot := flag.Duration("hot", 30*time.Second, "how long many processes share one key")
	join := flag.String("join", "", "be one of these processes, with the server at this address")
	flag.Parse()
	err := error(nil)
	if *join != "" {
		err = joinHot(context.Background(), *join, *hot, os.Stdin, os.Stdout)
	} else {
		err = run(context.Background(), *rounds, *each, *hot)
	}
	if err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, rounds int, each, hot time.Duration) error {
	s, err := startServer(ctx)
	if err != nil {
		return err
	}
	defer s.stop()
	version, err := s.info(ctx, "server", "redis_version")
	if err != nil {
		return err
	}
	fmt.Printf("%s %s/%s, %d processors, Redis %s, medians of %d rounds of %v\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), version, rounds, each)
	if err := compareSpeed(ctx, s, rounds, each); err != nil {
		return err
	}
	if err := countRoundTrips(ctx, s); err != nil {
		return err
	}
	if err := measureMemory(ctx); err != nil {
		return err
	}
	return shareHotKey(ctx, s, hot)
}

// goal prints a goal, and whether it is met.
func goal(met bool, format string, args ...any) {
	word := "met"
	if !met {
		word = "missed"
	}
	fmt.Printf("- %s: %s\n", fmt.Sprintf(format, args...), word)
}
