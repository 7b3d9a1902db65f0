package postgresstore_test

import (
	"flag"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/postgresstore"
	"github.com/ratelimit-go/ratelimit/postgresstore/internal/pgtest"
	"github.com/ratelimit-go/ratelimit/store"
)

var passing = flag.Int("keys", 40_000, "how many keys pass through the table")

// Keys that are never seen again leave nothing behind: new rows remove old ones, and an autovacuum
// frees the space for the next. A run with 10 million keys, and with the server's own settings:
// go test -run Bounded -keys 10000000 -timeout 2h -v
func TestTableStaysBounded(t *testing.T) {
	t.Parallel()
	settings := []string{"autovacuum_naptime=1s"}
	if *passing > 1_000_000 {
		settings = nil
	}
	server := pgtest.Start(t, settings...)
	s := newStore(t, server, postgresstore.Config{})
	l := limit(t, "r", 0, "10 per second") // full again after 100 ms
	table := watch(t, server)
	begin := time.Now()
	pass(t, s, l)
	rate := float64(*passing) / time.Since(begin).Seconds()
	rows, bytes := table()
	t.Logf("%d keys, %.0f a second: rows at most %d, bytes at most %d", *passing, rate, rows, bytes)
	// The rows that are not full yet, and 16 for each block, which is what arrives in a pass.
	assert.Less(t, rows, int64(0.5*rate)+16*bytes/8192+10_000)
	// What arrives between two autovacuums, once a minute, and as much while one runs.
	assert.Less(t, bytes, int64(2*60*rate*256)+20<<20)
}

// Without new keys, the next decisions remove full rows too. Before version 14 the server cannot
// scan a range of places.
func TestIdleTableIsSwept(t *testing.T) {
	t.Parallel()
	server := pgtest.Database(t)
	for _, since := range []string{"140000", "990000"} {
		s := newStore(t, server, postgresstore.Config{})
		sql, err := postgresstore.Schema(postgresstore.Config{})
		require.NoError(t, err)
		require.Contains(t, sql, "140000")
		server.Exec(strings.ReplaceAll(sql, "140000", since))
		l := limit(t, "r", 0, "10 per second")
		for n := range 500 {
			require.NoError(t, s.Apply(t.Context(), take(l, fmt.Sprint(n), 1)))
		}
		time.Sleep(200 * time.Millisecond)
		require.Eventually(t, func() bool {
			for range 100 {
				assert.NoError(t, s.Apply(t.Context(), take(l, "late", 1)))
			}
			return server.Int("SELECT count(*) FROM ratelimit.buckets") < 5
		}, 20*time.Second, time.Millisecond)
	}
}

// together lets many callers do the same.
func together(do func()) {
	var callers sync.WaitGroup
	for range 64 {
		callers.Go(do)
	}
	callers.Wait()
}

// pass takes once from every key, from some at a time.
func pass(t *testing.T, s store.Store, l *store.Limit) {
	t.Helper()
	const size = 10
	var next atomic.Int64
	together(func() {
		for n := next.Add(size); n <= int64(*passing); n = next.Add(size) {
			ops := make([]store.Op, size)
			for i := range ops {
				ops[i] = store.Op{Limit: l, Key: ratelimit.UserKey(fmt.Sprint(n + int64(i))), Cost: 1}
			}
			if !assert.NoError(t, s.Apply(t.Context(), ops)) || !assert.True(t, ops[0].Result.Allowed) {
				return
			}
		}
	})
}

// watch looks at the table now and then. The function that it returns ends that, and returns the
// most rows and bytes it saw.
func watch(t *testing.T, server *pgtest.Server) func() (rows, bytes int64) {
	t.Helper()
	var rows, most int64
	stop := make(chan struct{})
	var watcher sync.WaitGroup
	begin := time.Now()
	watcher.Go(func() {
		for n := 1; ; n++ {
			bytes := server.Int("SELECT pg_total_relation_size('ratelimit.buckets')")
			rows = max(rows, server.Int("SELECT count(*) FROM ratelimit.buckets"))
			most = max(most, bytes)
			if n%60 == 0 {
				t.Logf("%v: rows at most %d, now %d MB, at most %d MB",
					time.Since(begin).Round(time.Second), rows, bytes>>20, most>>20)
			}
			select {
			case <-stop:
				return
			case <-time.After(500 * time.Millisecond):
			}
		}
	})
	return func() (int64, int64) {
		close(stop)
		watcher.Wait()
		return rows, most
	}
}
