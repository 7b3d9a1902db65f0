package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

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

// TestEveryFormatIsGenerated keeps the formats of BenchmarkReplay complete and readable.
func TestEveryFormatIsGenerated(t *testing.T) {
	t.Parallel()
	for name, e := range examples() {
		var log bytes.Buffer
		generateAs(&log, e, 200, 50)
		out, errs, status := command(t, log.String(), "replay", data("policy.yaml"), "-", "-format", e.format)
		require.Zero(t, status, errs)
		require.Contains(t, out, "200 requests of", name)
		require.Contains(t, out, "cannot be read: none of 200.", name)
	}
}
