package postgresstore_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ratelimit-go/ratelimit/postgresstore"
	"github.com/ratelimit-go/ratelimit/postgresstore/internal/pgtest"
	"github.com/ratelimit-go/ratelimit/store"
	"github.com/ratelimit-go/ratelimit/storetest"
)

const empty = "TRUNCATE ratelimit.buckets, ratelimit.leases"

func TestConformance(t *testing.T) {
	server := pgtest.Start(t)
	storetest.Run(t, storetest.Harness{
		New:        stores(t, server),
		Around:     inParallel,
		Resolution: 5 * time.Millisecond,
		Stall: func() func() {
			server.Pause()
			return server.Resume
		},
	})
}

func TestLeaseConformance(t *testing.T) {
	server := pgtest.Database(t)
	storetest.RunLeases(t, storetest.Harness{
		New:        stores(t, server),
		Around:     inParallel,
		Resolution: 20 * time.Millisecond,
	})
}

// stores makes the schema, and returns a function that returns stores in it. No store has the names
// of another one, because each has a secret of its own.
func stores(t *testing.T, server *pgtest.Server) func(t testing.TB) store.Store {
	newStore(t, server, postgresstore.Config{})
	var n atomic.Int64
	return func(t testing.TB) store.Store {
		return connect(t, server.URL(), postgresstore.Config{Secret: fmt.Append(nil, "secret ", n.Add(1))})
	}
}

// inParallel runs a case of storetest beside other cases, because most of them wait. The case that
// stops the server runs alone, before them.
func inParallel(t *testing.T, f func(t *testing.T)) {
	if !strings.Contains(t.Name(), "stalled_store") {
		t.Parallel()
	}
	f(t)
}
