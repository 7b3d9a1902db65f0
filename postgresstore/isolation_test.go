package postgresstore_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/postgresstore"
	"github.com/ratelimit-go/ratelimit/postgresstore/internal/pgtest"
	"github.com/ratelimit-go/ratelimit/store"
)

// A statement that waits for the lock of a key must not count the leases that were there before it
// waited, however its transaction is isolated.
func TestLeasesUnderEachIsolation(t *testing.T) {
	t.Parallel()
	const instances, most = 6, 2
	server := pgtest.Start(t)
	newStore(t, server, postgresstore.Config{})
	for _, level := range []string{"read%20committed", "repeatable%20read", "serializable"} {
		var fleet [instances]*postgresstore.Store
		for i := range fleet {
			fleet[i] = connect(t, server.URL("default_transaction_isolation="+level), postgresstore.Config{})
		}
		granted := 0
		for round := range 30 {
			var now atomic.Int64
			var callers sync.WaitGroup
			for i, s := range fleet {
				callers.Go(func() {
					lease := []store.Lease{{
						Rule: level, Key: ratelimit.UserKey(string(rune('a' + round))), ID: [16]byte{byte(i)},
						Max: most, TTL: time.Minute,
					}}
					if err := s.Lease(context.Background(), store.Acquire, lease); err != nil {
						assert.Equal(t, store.ReasonBusy, store.ReasonOf(err), "%v", err)
					} else if lease[0].Granted {
						now.Add(1)
					}
				})
			}
			callers.Wait()
			assert.LessOrEqual(t, now.Load(), int64(most), level)
			granted += int(now.Load())
		}
		assert.Positive(t, granted, level)
	}
}
