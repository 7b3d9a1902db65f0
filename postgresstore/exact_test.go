package postgresstore_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/postgresstore"
	"github.com/ratelimit-go/ratelimit/postgresstore/internal/pgtest"
	"github.com/ratelimit-go/ratelimit/store"
	"github.com/ratelimit-go/ratelimit/storetest"
)

// A clock replaces the clock of a server, so that time passes only by its methods.
type clock struct {
	t     testing.TB
	conn  *pgx.Conn
	store store.Store
	now   time.Duration // since 1970
}

func newClock(t testing.TB, server *pgtest.Server, s store.Store) *clock {
	c := &clock{t: t, conn: server.Conn(), store: s}
	c.advance(10 * 365 * 24 * time.Hour)
	return c
}

func (c *clock) advance(d time.Duration) {
	c.now += d
	_, err := c.conn.Exec(context.Background(), fmt.Sprintf("CREATE OR REPLACE FUNCTION ratelimit.now_1() "+
		"RETURNS bigint LANGUAGE sql VOLATILE AS 'SELECT %d::bigint'", int64(c.now)))
	require.NoError(c.t, err)
}

// harness returns a harness of the same store again and again.
func (c *clock) harness() storetest.Harness {
	return storetest.Harness{
		New: func(testing.TB) store.Store {
			_, err := c.conn.Exec(context.Background(), empty)
			require.NoError(c.t, err)
			return c.store
		},
		Advance: c.advance,
	}
}

// Where the clock moves only on demand, every answer is right to the nanosecond, for years.
func TestConformanceToTheNanosecond(t *testing.T) {
	t.Parallel()
	server := pgtest.Database(t)
	c := newClock(t, server, newStore(t, server, postgresstore.Config{}))
	storetest.Run(t, c.harness())
	storetest.RunLeases(t, c.harness())
}

// A clock that goes back by seconds stands still until it is where it was. If it goes
// back further, it was corrected.
func TestConformanceWithAClockSetBack(t *testing.T) {
	t.Parallel()
	server := pgtest.Database(t)
	c := newClock(t, server, newStore(t, server, postgresstore.Config{}))
	h := c.harness()
	h.Resolution = time.Millisecond
	h.Rewind = func(d time.Duration) { c.advance(-d) }
	storetest.Run(t, h)
}
