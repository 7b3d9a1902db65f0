package postgresstore_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/postgresstore"
	"github.com/ratelimit-go/ratelimit/postgresstore/internal/pgtest"
	"github.com/ratelimit-go/ratelimit/store"
)

// connect returns a Store for a connection string, which the test closes at its end.
func connect(t testing.TB, url string, cfg postgresstore.Config) *postgresstore.Store {
	t.Helper()
	s, err := postgresstore.New(pgtest.Pool(t, url), cfg)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

// newStore returns a Store whose schema is there.
func newStore(t testing.TB, server *pgtest.Server, cfg postgresstore.Config) *postgresstore.Store {
	t.Helper()
	s := connect(t, server.URL(), cfg)
	require.NoError(t, s.Migrate(t.Context()))
	return s
}

func limit(t testing.TB, rule string, index int, text string) *store.Limit {
	t.Helper()
	n := ratelimit.MustParse(text)[0]
	l, err := store.NewLimit(rule, index, n.Count, n.Period, n.Burst)
	require.NoError(t, err)
	return l
}

func take(l *store.Limit, user string, n int64) []store.Op {
	return []store.Op{{Limit: l, Key: ratelimit.UserKey(user), Cost: n}}
}

func wantReason(t testing.TB, err error, want store.Reason) {
	t.Helper()
	var e *postgresstore.Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, want, e.Reason, "%v", err)
	assert.Equal(t, want, store.ReasonOf(err))
}
