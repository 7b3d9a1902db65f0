//go:build unix

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// cpuTime returns the CPU time that this process has used.
func cpuTime(t testing.TB) time.Duration {
	var u syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestReplayIsNotMuchSlowerThanTheLimiter compares a replay with the same number of requests that
// are made and decided without any log, by CPU time. A time alone would depend on the machine.
func TestReplayIsNotMuchSlowerThanTheLimiter(t *testing.T) {
	const n, atMost = 5_000, 6
	var log bytes.Buffer
	generate(&log, n, 5000)
	path := writeFile(t, "a.log", log.String())
	limiter, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{
		{Name: "a", Limits: ratelimit.MustParse("60 per minute")},
	}})
	require.NoError(t, err)
	h := limiter.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) }))
	best := func(f func()) time.Duration {
		least := time.Hour
		for range 2 {
			begin := cpuTime(t)
			f()
			least = min(least, cpuTime(t)-begin)
		}
		return least
	}
	alone := best(func() {
		for i := range n {
			r := httptest.NewRequest(http.MethodGet, "/orders/17?limit=10", nil)
			r.RemoteAddr = fmt.Sprintf("10.0.%d.%d:1", i>>8&15, i&255)
			h.ServeHTTP(httptest.NewRecorder(), r)
		}
	})
	replayed := best(func() {
		status := run(&streams{out: io.Discard, err: io.Discard}, []string{"replay", data("policy.yaml"), path})
		require.Zero(t, status)
	})
	t.Logf("alone %v, replay %v: %.1f times", alone, replayed, float64(replayed)/float64(alone))
	require.Less(t, replayed, atMost*alone)
}

// flying bounds the requests in flight, so that a replay carries each to its end.
const flying = `
version: 1
rules:
  - {name: per-client, limits: 60 per minute burst 30}
  - {name: in-flight, in_flight: 20}
`

// BenchmarkReplay replays a million lines of each format, and with requests in flight. Run it with
// -benchtime 1x.
func BenchmarkReplay(b *testing.B) {
	for _, name := range slices.Sorted(maps.Keys(examples())) {
		b.Run(name, func(b *testing.B) { replayMillion(b, examples()[name], data("policy.yaml")) })
	}
	policy := filepath.Join(b.TempDir(), "policy.yaml")
	require.NoError(b, os.WriteFile(policy, []byte(flying), 0o600))
	for _, name := range []string{"caddy", "format string, nginx"} {
		b.Run(name+" in flight", func(b *testing.B) { replayMillion(b, examples()[name], policy) })
	}
}

func replayMillion(b *testing.B, e example, policy string) {
	const n = 1_000_000
	path := filepath.Join(b.TempDir(), "a.log")
	f, err := os.Create(path)
	require.NoError(b, err)
	w := bufio.NewWriter(f)
	generateAs(w, e, n, 60_000)
	require.NoError(b, w.Flush())
	require.NoError(b, f.Close())
	before := cpuTime(b)
	for b.Loop() {
		status := run(&streams{out: io.Discard, err: io.Discard}, []string{"replay", policy, path, "-format", e.format})
		require.Zero(b, status)
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/million-lines")
	b.ReportMetric((cpuTime(b)-before).Seconds()/float64(b.N), "cpu-s/million-lines")
}
