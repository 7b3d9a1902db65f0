package postgresstore_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/postgresstore"
	"github.com/ratelimit-go/ratelimit/postgresstore/internal/pgtest"
	"github.com/ratelimit-go/ratelimit/store"
)

// Statements for leases that wait for each other leave a connection to decisions.
func TestLeasesLeaveAConnection(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	s := newStore(t, server, postgresstore.Config{})
	l := limit(t, "r", 0, "100 per day")
	require.NoError(t, s.Apply(t.Context(), take(l, "a", 1)))
	holder := server.Conn()
	_, err := holder.Exec(t.Context(), "BEGIN; LOCK TABLE ratelimit.leases")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var leases sync.WaitGroup
	for range 10 {
		leases.Go(func() {
			lease := []store.Lease{{Rule: "r", Key: ratelimit.UserKey("a"), Max: 1, TTL: time.Minute}}
			assert.NoError(t, s.Lease(ctx, store.Acquire, lease))
		})
	}
	require.Eventually(t, func() bool {
		return server.Int("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%lease_1%' AND wait_event_type = 'Lock'") > 1
	}, 10*time.Second, 10*time.Millisecond)
	for range 5 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		assert.NoError(t, s.Apply(ctx, take(l, "a", 1)))
		cancel()
	}
	_, err = holder.Exec(t.Context(), "COMMIT")
	require.NoError(t, err)
	leases.Wait()
}

// A statement that the server ended for its time has told that the connection is well.
func TestStatementTimeoutKeepsConnections(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	newStore(t, server, postgresstore.Config{})
	s := connect(t, server.URL("application_name=patient", "statement_timeout=500"), postgresstore.Config{})
	l := limit(t, "r", 0, "100 per day")
	require.NoError(t, s.Apply(t.Context(), take(l, "a", 1)))
	const pid = "SELECT min(pid) FROM pg_stat_activity WHERE application_name = 'patient'"
	before := server.Int(pid)
	holder := server.Conn()
	_, err := holder.Exec(t.Context(), "BEGIN; SELECT FROM ratelimit.buckets FOR UPDATE")
	require.NoError(t, err)
	for range 3 {
		wantReason(t, s.Apply(t.Context(), take(l, "a", 1)), store.ReasonTimeout)
	}
	_, err = holder.Exec(t.Context(), "COMMIT")
	require.NoError(t, err)
	require.NoError(t, s.Apply(t.Context(), take(l, "a", 1)))
	assert.Equal(t, before, server.Int(pid))
}
