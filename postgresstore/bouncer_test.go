package postgresstore_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/postgresstore"
	"github.com/ratelimit-go/ratelimit/postgresstore/internal/pgtest"
	"github.com/ratelimit-go/ratelimit/store"
)

// Through a PgBouncer in transaction mode each statement may find another connection of the server.
func TestPgBouncerInTransactionMode(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	url := server.StartBouncer("3")
	l := limit(t, "r", 0, "500 per day")
	var allowed atomic.Int64
	var callers sync.WaitGroup
	for instance := range 3 {
		s := connect(t, url, postgresstore.Config{Conns: 4})
		if instance == 0 {
			require.NoError(t, s.Migrate(t.Context()))
		}
		require.NoError(t, s.Verify(t.Context()))
		for range 8 {
			callers.Go(func() {
				for range 40 {
					ops := append(take(l, "alice", 1), take(limit(t, "s", 1, "1000 per day"), "bob", 1)...)
					if err := s.Apply(context.Background(), ops); assert.NoError(t, err) && ops[0].Result.Allowed {
						allowed.Add(1)
					}
				}
			})
		}
		callers.Go(func() {
			lease := []store.Lease{{Rule: "r", Key: ops(l)[0].Key, ID: [16]byte{byte(instance)}, Max: 3, TTL: 1e10}}
			assert.NoError(t, s.Lease(context.Background(), store.Acquire, lease))
			assert.True(t, lease[0].Granted)
		})
	}
	callers.Wait()
	assert.EqualValues(t, 500, allowed.Load())
	assert.LessOrEqual(t, server.Int("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"),
		int64(4), "PgBouncer did not share connections")
}

func ops(l *store.Limit) []store.Op { return take(l, "alice", 1) }
