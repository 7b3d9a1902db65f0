package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// generate writes n lines of a combined log, of clients whose sizes differ much.
func generate(w io.Writer, n, clients int) {
	random := rand.New(rand.NewPCG(1, 2))
	zipf := rand.NewZipf(random, 1.1, 4, uint64(clients-1))
	now := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	for range n {
		now = now.Add(time.Duration(random.IntN(200)) * time.Millisecond)
		c := zipf.Uint64()
		method, target, status := "GET", fmt.Sprintf("/orders/%d", random.IntN(10_000)), 200
		switch random.IntN(4) {
		case 0:
			method, target, status = "POST", "/login", 200+random.IntN(2)*201
		case 1:
			target = fmt.Sprintf("/search?q=tea&limit=%d", random.IntN(100))
		}
		fmt.Fprintf(w, "10.%d.%d.%d - - [%s] \"%s %s HTTP/1.1\" %d %d \"-\" \"Mozilla/5.0 (X11; Linux x86_64) Firefox/136.0\"\n",
			c>>16, c>>8&255, c&255, now.Format("02/Jan/2006:15:04:05 -0700"), method, target, status, random.IntN(9000))
	}
}

// TestMemoryGrowsWithTheClients replays ten times as many lines of the same clients.
func TestMemoryGrowsWithTheClients(t *testing.T) {
	heap := func(n int) uint64 {
		var log bytes.Buffer
		generate(&log, n, 500)
		path := filepath.Join(t.TempDir(), "a.log")
		require.NoError(t, os.WriteFile(path, log.Bytes(), 0o600))
		log = bytes.Buffer{}
		var f replayFlags
		f.top, f.logs.zone, f.logs.window = 10, "UTC", time.Minute
		now, _, err := f.engine(&streams{err: io.Discard}, data("policy.yaml"))
		require.NoError(t, err)
		reader, _, err := f.logs.open(&streams{}, []string{path})
		require.NoError(t, err)
		defer reader.Close()
		for {
			entry, err := reader.Next()
			if err == io.EOF {
				break
			}
			require.NoError(t, err)
			_, err = now.Serve(entry)
			require.NoError(t, err)
		}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		runtime.KeepAlive(now)
		return m.HeapAlloc
	}
	small, large := heap(2_000), heap(20_000)
	t.Logf("%d KiB, %d KiB", small>>10, large>>10)
	require.Less(t, large, small*2+4<<20)
}

// BenchmarkReplay replays a million lines. Run it with -benchtime 1x.
func BenchmarkReplay(b *testing.B) {
	const n = 1_000_000
	path := filepath.Join(b.TempDir(), "a.log")
	f, err := os.Create(path)
	require.NoError(b, err)
	generate(f, n, 60_000)
	require.NoError(b, f.Close())
	for b.Loop() {
		status := run(&streams{out: io.Discard, err: io.Discard}, []string{"replay", data("policy.yaml"), path})
		require.Zero(b, status)
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/million-lines")
}
