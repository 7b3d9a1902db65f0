// Command compare-redis measures decisions in Redis beside the peers', on one server that
// it starts itself: 64 callers, 10,000 keys, all libraries through the same client.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"
	"github.com/throttled/throttled/v2"
	"github.com/throttled/throttled/v2/store/goredisstore.v9"
	"github.com/ulule/limiter/v3"
	ululeredis "github.com/ulule/limiter/v3/drivers/store/redis"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/redisstore"
)

const (
	callers = 64
	keys    = 10_000
)

// library is one of those to be measured. take decides on one request of the key.
type library struct {
	name  string
	take  func(ctx context.Context, key string) error
	times []float64 // microseconds for one decision, of each round
}

func main() {
	rounds := flag.Int("rounds", 5, "rounds, of which the median counts")
	each := flag.Duration("time", time.Second, "time for each library in each round")
	flag.Parse()
	if err := run(*rounds, *each); err != nil {
		log.Fatal(err)
	}
}

func run(rounds int, each time.Duration) error {
	addr, stop, err := startServer()
	if err != nil {
		return err
	}
	defer stop()
	client := redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true, PoolSize: callers})
	defer client.Close()
	libs, err := libraries(client)
	if err != nil {
		return err
	}
	for range rounds {
		for _, lib := range libs {
			took, err := lib.measure(each)
			if err != nil {
				return fmt.Errorf("%s: %w", lib.name, err)
			}
			lib.times = append(lib.times, took)
		}
	}
	report(libs)
	return reportBytes(client, libs)
}

func libraries(client *redis.Client) ([]*library, error) {
	one, err := ours(client, "one", "1_000_000 per second")
	if err != nil {
		return nil, err
	}
	three, err := ours(client, "three", "1_000_000 per second; 10_000_000 per minute; 100_000_000 per hour")
	if err != nil {
		return nil, err
	}
	rateLimiter := redis_rate.NewLimiter(client)
	ululeStore, err := ululeredis.NewStoreWithOptions(client, limiter.StoreOptions{Prefix: "ulule"})
	if err != nil {
		return nil, err
	}
	ulule := limiter.New(ululeStore, limiter.Rate{Period: time.Second, Limit: 1_000_000})
	throttledStore, err := goredisstore.NewCtx(client, "throttled")
	if err != nil {
		return nil, err
	}
	gcra, err := throttled.NewGCRARateLimiterCtx(throttledStore, throttled.RateQuota{MaxRate: throttled.PerSec(1_000_000), MaxBurst: 999_999})
	if err != nil {
		return nil, err
	}
	return []*library{
		{name: "ratelimit", take: one},
		{name: "ratelimit, three limits", take: three},
		{name: "redis_rate", take: func(ctx context.Context, key string) error {
			_, err := rateLimiter.Allow(ctx, key, redis_rate.PerSecond(1_000_000))
			return err
		}},
		{name: "ulule (counts only)", take: func(ctx context.Context, key string) error {
			_, err := ulule.Get(ctx, key)
			return err
		}},
		{name: "throttled", take: func(ctx context.Context, key string) error {
			_, _, err := gcra.RateLimitCtx(ctx, key, 1)
			return err
		}},
	}, nil
}

func ours(client *redis.Client, name, limits string) (func(context.Context, string) error, error) {
	store, err := redisstore.New(client, redisstore.Config{})
	if err != nil {
		return nil, err
	}
	l, err := ratelimit.New(ratelimit.Config{
		Store: store, StoreTimeout: time.Second, OnStoreFailure: ratelimit.FailClosed,
		Rules: []ratelimit.Rule{{Name: name, Limits: ratelimit.MustParse(limits), Key: ratelimit.ByRemoteIP()}},
	})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, key string) error {
		_, err := l.Take(ctx, name, ratelimit.UserKey(key), 1)
		return err
	}, nil
}

// measure returns the microseconds for one decision with all callers at work.
func (lib *library) measure(d time.Duration) (float64, error) {
	ctx := context.Background()
	counts, errs := make([]int, callers), make([]error, callers)
	start := time.Now()
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
	took, n := time.Since(start), 0
	for i := range callers {
		if errs[i] != nil {
			return 0, errs[i]
		}
		n += counts[i]
	}
	return float64(took.Microseconds()) / float64(n), nil
}

func report(libs []*library) {
	base := 0.0
	for _, lib := range libs {
		slices.Sort(lib.times)
		if lib.name == "redis_rate" {
			base = lib.times[len(lib.times)/2]
		}
	}
	fmt.Printf("| %d callers, %d keys | us for one decision | decisions per second | of redis_rate |\n| --- | ---: | ---: | ---: |\n", callers, keys)
	for _, lib := range libs {
		us := lib.times[len(lib.times)/2]
		fmt.Printf("| %s | %.1f | %.0f | %.2f |\n", lib.name, us, 1e6/us, base/us)
	}
}

// reportBytes prints the memory that the server needs for each of 20,000 more keys.
func reportBytes(client *redis.Client, libs []*library) error {
	const n = 20_000
	ctx := context.Background()
	fmt.Printf("\n| library | bytes in Redis for each key |\n| --- | ---: |\n")
	for _, lib := range libs {
		if lib.name != "ratelimit" && lib.name != "redis_rate" {
			continue
		}
		if err := client.FlushAll(ctx).Err(); err != nil {
			return err
		}
		before := usedMemory(client)
		l, err := longLived(client, lib.name)
		if err != nil {
			return err
		}
		for i := range n {
			if err := l(ctx, "192.0.2."+strconv.Itoa(i)); err != nil {
				return err
			}
		}
		fmt.Printf("| %s | %.0f |\n", lib.name, float64(usedMemory(client)-before)/n)
	}
	return nil
}

// longLived returns a limiter whose keys live for an hour.
func longLived(client *redis.Client, name string) (func(context.Context, string) error, error) {
	if name == "ratelimit" {
		return ours(client, "per-client", "1 per hour")
	}
	l := redis_rate.NewLimiter(client)
	return func(ctx context.Context, key string) error {
		_, err := l.Allow(ctx, "per-client:"+key, redis_rate.PerHour(1))
		return err
	}, nil
}

func usedMemory(client *redis.Client) int {
	info := client.InfoMap(context.Background(), "memory").Item("Memory", "used_memory")
	n, _ := strconv.Atoi(info)
	return n
}

// startServer starts a server on a free port.
func startServer() (addr string, stop func(), err error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return "", nil, fmt.Errorf("apt-get install redis-server: %w", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	addr = l.Addr().String()
	_ = l.Close()
	_, port, _ := net.SplitHostPort(addr)
	cmd := exec.Command(path, "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", os.TempDir())
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	for range 500 {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			return addr, stop, c.Close()
		}
		time.Sleep(10 * time.Millisecond)
	}
	stop()
	return "", nil, fmt.Errorf("no server at %s", addr)
}
