package postgresstore_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/postgresstore"
	"github.com/ratelimit-go/ratelimit/postgresstore/internal/pgtest"
	"github.com/ratelimit-go/ratelimit/store"
)

func TestMistakes(t *testing.T) {
	_, err := postgresstore.New(nil, postgresstore.Config{Schema: `x"; DROP`, Conns: 1})
	require.ErrorContains(t, err, "the pool is nil: want the result of pgxpool.ParseConfig")
	require.ErrorContains(t, err, `Config.Schema is "x\"; DROP": want at most 40 of a to z`)
	require.ErrorContains(t, err, "Config.Conns is 1: want 2 to 32")
	_, err = postgresstore.Schema(postgresstore.Config{Schema: strings.Repeat("x", 41)})
	require.ErrorContains(t, err, "Config.Schema")
}

func TestNewSendsNothing(t *testing.T) {
	connect(t, "postgres://192.0.2.1:1/x?user=x", postgresstore.Config{})
}

// The error says which version is there, which one is wanted, and what to do. ratelimit.New reports
// it too, once Verify has found it.
func TestWrongVersions(t *testing.T) {
	t.Parallel()
	server := pgtest.Database(t)
	s := connect(t, server.URL(), postgresstore.Config{})
	rules := []ratelimit.Rule{{Name: "r", Limits: ratelimit.MustParse("1 per hour"), Key: ratelimit.ByClientIP()}}
	want := func(text, todo string) {
		t.Helper()
		for _, err := range []error{
			s.Apply(t.Context(), take(limit(t, "r", 0, "1 per hour"), "a", 1)),
			s.Lease(t.Context(), store.Release, []store.Lease{{Rule: "r", Key: ratelimit.UserKey("a")}}),
			s.Verify(t.Context()),
		} {
			require.ErrorIs(t, err, postgresstore.ErrVersion)
			wantReason(t, err, store.ReasonScript)
			assert.ErrorContains(t, err, text)
			assert.ErrorContains(t, err, todo)
		}
		_, err := ratelimit.New(ratelimit.Config{Store: s, OnStoreFailure: ratelimit.FailOpen, Rules: rules})
		require.ErrorContains(t, err, text)
	}
	want(`schema "ratelimit" is not there: want version 1`, "call Store.Migrate")
	server.Exec("CREATE SCHEMA ratelimit; CREATE TABLE ratelimit.version (version int)")
	want("is not there", "call Store.Migrate")
	server.Exec("INSERT INTO ratelimit.version VALUES (0)")
	want("has version 0, which is older: want version 1", "call Store.Migrate")
	server.Exec("INSERT INTO ratelimit.version VALUES (2)")
	want("has version 2, which is newer: want version 1", "update the module")
	require.ErrorContains(t, s.Migrate(t.Context()), "the schema has version 2, which is newer than 1")
	server.Exec("DELETE FROM ratelimit.version WHERE version = 2")
	require.NoError(t, s.Migrate(t.Context()))
	_, err := ratelimit.New(ratelimit.Config{Store: s, OnStoreFailure: ratelimit.FailOpen, Rules: rules})
	require.NoError(t, err)
	server.Exec("DROP FUNCTION ratelimit.apply_1, ratelimit.lease_1")
	want("has lost functions", "call Store.Migrate")
	require.NoError(t, s.Migrate(t.Context()))
	server.Exec("INSERT INTO ratelimit.version VALUES (2)") // by a newer program, which keeps these functions
	require.NoError(t, s.Verify(t.Context()))
}

// A person or a restore may have left out a part of the schema. The error says to call Migrate, and
// Migrate makes the part again.
func TestLostParts(t *testing.T) {
	t.Parallel()
	server := pgtest.Database(t)
	s := newStore(t, server, postgresstore.Config{})
	l := limit(t, "r", 0, "5 per hour")
	leases := []store.Lease{{Rule: "r", Key: ratelimit.UserKey("a"), Max: 1, TTL: 1e9}}
	for _, lost := range []string{
		"TABLE ratelimit.buckets", "TABLE ratelimit.leases", "FUNCTION ratelimit.now_1", "FUNCTION ratelimit.sweep_1",
		"FUNCTION ratelimit.convert_1", "FUNCTION ratelimit.apply_1", "FUNCTION ratelimit.lease_1",
	} {
		t.Run(lost, func(t *testing.T) {
			server.Exec("DROP " + lost)
			err := s.Verify(t.Context())
			require.ErrorIs(t, err, postgresstore.ErrVersion)
			assert.ErrorContains(t, err, "has lost functions or tables: want version 1: call Store.Migrate")
			require.NoError(t, s.Migrate(t.Context()))
			require.NoError(t, s.Apply(t.Context(), take(l, "a", 0)))
			require.NoError(t, s.Lease(t.Context(), store.Acquire, leases))
		})
	}
	server.Exec("CREATE FUNCTION ratelimit.apply_1(text) RETURNS text LANGUAGE sql AS 'SELECT $1'")
	require.NoError(t, s.Verify(t.Context()), "another function of the name")
}

// All instances may migrate at once, and the printed SQL does the same, again and again.
func TestMigrateIsRepeatable(t *testing.T) {
	t.Parallel()
	server := pgtest.Database(t)
	var all sync.WaitGroup
	for range 4 {
		s := connect(t, server.URL(), postgresstore.Config{Schema: "shop_1"})
		all.Go(func() { assert.NoError(t, s.Migrate(t.Context())) })
	}
	all.Wait()
	for _, logged := range []bool{true, false, true} {
		sql, err := postgresstore.Schema(postgresstore.Config{Schema: "printed", Logged: logged})
		require.NoError(t, err)
		server.Exec(sql)
		assert.NotContains(t, sql, "@")
	}
	const persistence = "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace " +
		"WHERE relname IN ('buckets', 'leases') AND nspname = "
	assert.EqualValues(t, 2, server.Int(persistence+"'printed' AND relpersistence = 'p'"))
	assert.EqualValues(t, 2, server.Int(persistence+"'shop_1' AND relpersistence = 'u'"))
	s := connect(t, server.URL(), postgresstore.Config{Schema: "printed", Logged: true})
	require.NoError(t, s.Verify(t.Context()))
	require.NoError(t, s.Apply(t.Context(), take(limit(t, "r", 0, "1 per hour"), "a", 1)))
	assert.Zero(t, server.Int("SELECT count(*) FROM shop_1.buckets"))
}

// A user needs these rights, and no more.
func TestGrants(t *testing.T) {
	t.Parallel()
	server := pgtest.Database(t)
	newStore(t, server, postgresstore.Config{})
	server.Exec("CREATE USER shop; GRANT USAGE ON SCHEMA ratelimit TO shop; " +
		"GRANT SELECT, INSERT, UPDATE, DELETE ON ratelimit.buckets, ratelimit.leases TO shop; " +
		"GRANT SELECT ON ratelimit.version TO shop")
	s := connect(t, server.URL("user=shop"), postgresstore.Config{})
	require.NoError(t, s.Verify(t.Context()))
	for range 3 {
		require.NoError(t, s.Apply(t.Context(), take(limit(t, "r", 0, "5 per hour"), "a", 1)))
	}
	require.NoError(t, s.Lease(t.Context(), store.Acquire, []store.Lease{
		{Rule: "r", Key: ratelimit.UserKey("a"), Max: 1, TTL: 1e9},
	}))
}

// Names in the tables are hashes, and a secret changes them.
func TestSecret(t *testing.T) {
	t.Parallel()
	server := pgtest.Database(t)
	l := limit(t, "r", 0, "5 per minute")
	for _, secret := range []string{"", "one", "two"} {
		ops := take(l, "alice", 1)
		require.NoError(t, newStore(t, server, postgresstore.Config{Secret: []byte(secret)}).Apply(t.Context(), ops))
		assert.Equal(t, int64(4), ops[0].Result.Remaining)
	}
	assert.Zero(t, server.Int("SELECT count(*) FROM ratelimit.buckets WHERE position('alice'::bytea in k) > 0"))
	assert.EqualValues(t, 3, server.Int("SELECT count(*) FROM ratelimit.buckets WHERE length(k) = 24"))
}
