package postgresstore_test

import (
	"testing"
	"time"

	"github.com/ratelimit-go/ratelimit/postgresstore"
	"github.com/ratelimit-go/ratelimit/postgresstore/internal/pgtest"
	"github.com/ratelimit-go/ratelimit/store"
	"github.com/ratelimit-go/ratelimit/storetest"
)

const empty = "TRUNCATE ratelimit.buckets, ratelimit.leases"

func TestConformance(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	storetest.Run(t, storetest.Harness{
		New: func(t testing.TB) store.Store {
			s := newStore(t, server, postgresstore.Config{})
			server.Exec(empty)
			return s
		},
		Resolution: 2 * time.Millisecond,
		Stall: func() func() {
			server.Pause()
			return server.Resume
		},
	})
}

func TestLeaseConformance(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	storetest.RunLeases(t, storetest.Harness{
		New: func(t testing.TB) store.Store {
			s := newStore(t, server, postgresstore.Config{})
			server.Exec(empty)
			return s
		},
		Resolution: 20 * time.Millisecond,
	})
}
