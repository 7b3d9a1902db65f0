package postgresstore_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/postgresstore"
	"github.com/ratelimit-go/ratelimit/postgresstore/internal/pgtest"
	"github.com/ratelimit-go/ratelimit/store"

	"github.com/ratelimit-go/ratelimit"
)

// The README says how many bytes a key takes, with the index and the room for updates.
func TestBytesPerKey(t *testing.T) {
	t.Parallel()
	server := pgtest.Database(t)
	for limits, most := range map[int]int64{1: 280, 3: 400} {
		s := newStore(t, server, postgresstore.Config{})
		server.Exec(empty)
		const keys, batch = 20_000, 250
		for n := range keys / batch {
			var ops []store.Op
			for i := range batch / limits {
				for index := range limits {
					k := ratelimit.UserKey(fmt.Sprint(n, " ", i))
					ops = append(ops, store.Op{Limit: limit(t, "r", index, "5 per day"), Key: k, Cost: 1})
				}
			}
			require.NoError(t, s.Apply(t.Context(), ops))
		}
		rows := server.Int("SELECT count(*) FROM ratelimit.buckets")
		bytes := server.Int("SELECT pg_total_relation_size('ratelimit.buckets')") / rows
		t.Logf("%d limits: %d bytes per key", limits, bytes)
		assert.LessOrEqual(t, bytes, most)
	}
}
