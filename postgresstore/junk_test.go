package postgresstore_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/postgresstore"
	"github.com/ratelimit-go/ratelimit/postgresstore/internal/pgtest"
	"github.com/ratelimit-go/ratelimit/store"
)

const (
	biggest  = "9223372036854775807"
	smallest = "-9223372036854775808"
)

// A bucket that a person has changed to what the store never writes is empty, and never full. Its
// row fails no decision, and the next op repairs it.
func TestUnknownRows(t *testing.T) {
	t.Parallel()
	server := pgtest.Database(t)
	s := newStore(t, server, postgresstore.Config{})
	limits := []*store.Limit{limit(t, "r", 0, "10 per minute"), limit(t, "r", 1, "20 per hour")}
	// s has 2 buckets of 5 numbers: place, instant, rest of the instant, count and period.
	all := []string{"s = '{}'", "s = '{0,0,0,0,0}'", "s = '[0:4]={1,2,3,4,5}'"}
	for _, x := range []string{biggest, smallest} {
		all = append(all, "s[2] = "+x, "s[7] = "+x, "s[5] = "+x)
	}
	for _, x := range []string{"0", "-1", biggest, smallest} {
		all = append(all, "s[1] = "+x, "s[4:5] = ARRAY[0, "+x+"]")
	}
	for _, x := range []string{"-1", "1", biggest, smallest} {
		all = append(all, "s[3] = "+x)
	}
	for _, set := range all {
		for kind := store.Take; kind <= store.TakeUpTo; kind++ {
			server.Exec(empty)
			both := func(kind store.Kind, cost int64) []store.Op {
				ops := append(take(limits[0], "a", cost), take(limits[1], "a", cost)...)
				ops[0].Kind, ops[1].Kind = kind, kind
				require.NoError(t, s.Apply(t.Context(), ops), "%s, %v", set, kind)
				return ops
			}
			both(store.Take, 5)
			server.Exec("UPDATE ratelimit.buckets SET " + set)
			for i, op := range both(kind, 1) {
				assert.LessOrEqual(t, op.Result.Remaining, limits[i].Burst(), "%s, %v", set, kind)
			}
			left := both(store.Peek, 1)
			if kind != store.Reset {
				assert.LessOrEqual(t, min(left[0].Result.Remaining, left[1].Result.Remaining), int64(1), "%s, %v", set, kind)
			}
			both(store.Reset, 0)
			both(store.Take, 10)
		}
	}
}

// The instant at which a row was written counts for a clock that goes back. If it is none, it is
// left out.
func TestUnknownInstantOfARow(t *testing.T) {
	t.Parallel()
	server := pgtest.Database(t)
	s := newStore(t, server, postgresstore.Config{})
	l := limit(t, "r", 0, "10 per hour")
	for _, at := range []string{"0", "-1", biggest, smallest, "full_at", "full_at + 3600000000000"} {
		server.Exec(empty)
		require.NoError(t, s.Apply(t.Context(), take(l, "a", 5)))
		server.Exec("UPDATE ratelimit.buckets SET at = " + at)
		ops := append(take(l, "a", 1), take(l, "b", 1)...)
		require.NoError(t, s.Apply(t.Context(), ops), at)
		assert.EqualValues(t, 4, ops[0].Result.Remaining, at)
	}
}

// A row that cannot be read fails no decision of others that are in the same statement.
func TestUnknownRowBesideOthers(t *testing.T) {
	t.Parallel()
	server := pgtest.Database(t)
	s := newStore(t, server, postgresstore.Config{})
	l := limit(t, "r", 0, "10 per hour")
	for n := range 5 {
		require.NoError(t, s.Apply(t.Context(), take(l, fmt.Sprint(n), 1)))
	}
	server.Exec("UPDATE ratelimit.buckets SET s[2] = " + smallest + " WHERE k = (SELECT k FROM ratelimit.buckets ORDER BY k LIMIT 1)")
	var ops []store.Op
	for n := range 5 {
		ops = append(ops, store.Op{Kind: store.TakeUpTo, Limit: l, Key: ratelimit.UserKey(fmt.Sprint(n)), Cost: 1})
	}
	require.NoError(t, s.Apply(t.Context(), ops))
	left := int64(0)
	for _, op := range ops {
		left += op.Result.Remaining
	}
	assert.EqualValues(t, 4*8, left)
}

// A lease that ends later than any can last is of a clock that was ahead. If a request is denied
// for it, it ends after the TTL of that request.
func TestLeaseOfAClockThatWasAhead(t *testing.T) {
	t.Parallel()
	server := pgtest.Database(t)
	s := newStore(t, server, postgresstore.Config{})
	for _, ends := range []string{biggest, "ends + 7200000000000"} {
		server.Exec("TRUNCATE ratelimit.leases")
		acquire := func(id byte) bool {
			leases := []store.Lease{{Rule: "r", Key: ratelimit.UserKey("a"), ID: [16]byte{id}, Max: 1, TTL: time.Second}}
			require.NoError(t, s.Lease(t.Context(), store.Acquire, leases))
			return leases[0].Granted
		}
		require.True(t, acquire(1))
		server.Exec("UPDATE ratelimit.leases SET ends = " + ends)
		require.False(t, acquire(2))
		require.Eventually(t, func() bool { return acquire(2) }, 10*time.Second, 50*time.Millisecond, ends)
	}
}

// An answer that the functions of this package cannot have made decides nothing.
func TestAnswersOfOtherFunctions(t *testing.T) {
	t.Parallel()
	server := pgtest.Database(t)
	s := newStore(t, server, postgresstore.Config{})
	l := limit(t, "r", 0, "10 per hour")
	server.Exec("DROP FUNCTION ratelimit.apply_1; DROP FUNCTION ratelimit.lease_1")
	for _, answer := range []string{
		"ARRAY[-2, 0, 0, 0, 0]", "ARRAY[-1, -1, 0, 0, 0]", "ARRAY[0, 0, -1, 0, 0]", "ARRAY[0, 0, 0, 0]", "ARRAY[0, 0, 0]",
		"ARRAY[NULL, 0, 0, 0, 0]", "ARRAY[[0, 0, 0, 0, 0]]", "ARRAY[0, 0, 0, 0, 0, 0, 0, 1]", "'{}'",
	} {
		server.Exec("CREATE OR REPLACE FUNCTION ratelimit.apply_1(bytea[], bigint[], bigint[], bigint[], bigint) " +
			"RETURNS bigint[] LANGUAGE sql AS $$ SELECT " + answer + "::bigint[] $$")
		wantReason(t, s.Apply(t.Context(), take(l, "a", 1)), store.ReasonScript)
	}
	for _, answer := range []string{"ARRAY[2]", "ARRAY[-1]", "ARRAY[1, 1]", "ARRAY[NULL]", "'{}'"} {
		server.Exec("CREATE OR REPLACE FUNCTION ratelimit.lease_1(integer, bytea[], bytea[], bigint[], bigint[], bigint[]) " +
			"RETURNS bigint[] LANGUAGE sql AS $$ SELECT " + answer + "::bigint[] $$")
		leases := []store.Lease{{Rule: "r", Key: ratelimit.UserKey("a"), Max: 1, TTL: time.Second}}
		wantReason(t, s.Lease(t.Context(), store.Acquire, leases), store.ReasonScript)
		assert.False(t, leases[0].Granted, answer)
	}
}
