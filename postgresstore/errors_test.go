package postgresstore_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/postgresstore"
	"github.com/ratelimit-go/ratelimit/postgresstore/internal/pgtest"
	"github.com/ratelimit-go/ratelimit/store"
)

// What the server answers, and what a person may do to it, has a typed reason. A decision after
// that succeeds.
// In JSON the error is its text.
func TestErrorInJSON(t *testing.T) {
	got, err := json.Marshal(&postgresstore.Error{Reason: store.ReasonConnect, Err: errors.New("refused")})
	require.NoError(t, err)
	assert.JSONEq(t, `"postgresstore: connect: refused"`, string(got))
}

func TestReasons(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, "max_connections=12", "superuser_reserved_connections=3")
	s := newStore(t, server, postgresstore.Config{})
	server.Exec("CREATE USER nobody; CREATE USER visitor; GRANT USAGE ON SCHEMA ratelimit TO nobody")
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close()
	l := limit(t, "r", 0, "1000 per day")
	for name, tc := range map[string]struct {
		url  string
		want store.Reason
		text string
	}{
		"no server":           {"postgres://127.0.0.1:1/?sslmode=disable&user=postgres", store.ReasonConnect, "refused"},
		"no user":             {server.URL("user=stranger"), store.ReasonAuth, "stranger"},
		"no database":         {server.URL("dbname=other"), store.ReasonAuth, "other"},
		"no right":            {server.URL("user=nobody"), store.ReasonAuth, "README of this module grants"},
		"no right for schema": {server.URL("user=visitor"), store.ReasonAuth, "README of this module grants"},
		"read only":           {server.URL("default_transaction_read_only=on"), store.ReasonReadOnly, "primary"},
		"no answer": {
			"postgres://" + silent.Addr().String() + "/?sslmode=disable&user=postgres", store.ReasonTimeout, "deadline",
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			if name != "no answer" {
				ctx = t.Context()
			}
			defer cancel()
			err := connect(t, tc.url, postgresstore.Config{}).Apply(ctx, take(l, "a", 1))
			wantReason(t, err, tc.want)
			assert.ErrorContains(t, err, tc.text)
		})
	}

	t.Run("too many connections", func(t *testing.T) {
		server.Exec("ALTER USER visitor CONNECTION LIMIT 0")
		err := connect(t, server.URL("user=visitor"), postgresstore.Config{}).Apply(t.Context(), take(l, "a", 1))
		wantReason(t, err, store.ReasonBusy)
	})
	t.Run("a lock that is held", func(t *testing.T) { heldLock(t, server, l) })
	for _, level := range []string{"repeatable%20read", "serializable"} {
		t.Run(level, func(t *testing.T) {
			crowd(t, level, server.URL("default_transaction_isolation="+level), server)
		})
	}
	require.NoError(t, s.Apply(t.Context(), take(l, "a", 1)))
}

// heldLock lets another transaction hold the row of a bucket.
func heldLock(t *testing.T, server *pgtest.Server, l *store.Limit) {
	for name, tc := range map[string]struct {
		param string
		hold  string // for how long another transaction has the lock: longer than the call may take
		want  store.Reason
	}{
		"statement_timeout": {"statement_timeout=200", "1s", store.ReasonTimeout},
		"lock_timeout":      {"lock_timeout=200", "1s", store.ReasonBusy},
		"deadline":          {"application_name=x", "2s", store.ReasonTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			s := connect(t, server.URL(tc.param), postgresstore.Config{})
			require.NoError(t, s.Apply(t.Context(), take(l, name, 1)))
			holder := server.Conn()
			begin := func(tx string) {
				_, err := holder.Exec(t.Context(), tx)
				require.NoError(t, err)
			}
			begin("SET idle_in_transaction_session_timeout = '" + tc.hold + "'; BEGIN; SELECT FROM ratelimit.buckets FOR UPDATE")
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			wantReason(t, s.Apply(ctx, take(l, name, 1)), tc.want)
			require.NoError(t, s.Apply(t.Context(), take(l, name+" other", 1)), "another row is free")
			// The server ends the idle transaction. No take that failed was charged.
			require.Eventually(t, func() bool {
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				return s.Apply(ctx, take(l, name, 0)) == nil // it may be done although its answer is late
			}, 10*time.Second, 50*time.Millisecond)
			ops := take(l, name, 1)
			require.NoError(t, s.Apply(t.Context(), ops))
			assert.EqualValues(t, 998, ops[0].Result.Remaining)
		})
	}
}

// crowd takes all of some buckets by many callers of several stores, which create them at once and
// use them in random order.
func crowd(t *testing.T, rule, url string, server *pgtest.Server) {
	l := limit(t, rule, 0, "50 per day")
	got := map[string]int64{}
	var mu sync.Mutex
	var callers sync.WaitGroup
	for range 3 {
		s := connect(t, url, postgresstore.Config{})
		for n := range 8 {
			callers.Go(func() {
				users := []string{"a", "b", "c", "d", "e"}
				for range 30 {
					n++
					x, y := users[n%5], users[(n*n+1)%5]
					if x == y {
						continue
					}
					ops := append(take(l, x, 1), take(l, y, 1)...)
					err := s.Apply(context.Background(), ops)
					mu.Lock()
					if err != nil {
						assert.Equal(t, store.ReasonBusy, store.ReasonOf(err), "%v", err)
					} else if ops[0].Result.Allowed && ops[1].Result.Allowed {
						got[x], got[y] = got[x]+1, got[y]+1
					}
					mu.Unlock()
				}
			})
		}
	}
	callers.Wait()
	s := connect(t, server.URL(), postgresstore.Config{})
	for user, n := range got {
		ops := take(l, user, 0)
		require.NoError(t, s.Apply(t.Context(), ops))
		assert.Equal(t, 50-n, ops[0].Result.Remaining, user)
	}
	assert.NotEmpty(t, got)
}

// Stores that create the same rows at once, and lock them in every order, have no deadlock and lose
// nothing.
func TestNoDeadlocks(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, "deadlock_timeout=10ms")
	newStore(t, server, postgresstore.Config{})
	for range 5 {
		crowd(t, "crowd", server.URL(), server)
		server.Exec(empty)
	}
	assert.Zero(t, server.Int("SELECT deadlocks FROM pg_stat_database WHERE datname = 'postgres'"))
}

func TestCanceledContext(t *testing.T) {
	t.Parallel()
	s := newStore(t, pgtest.Database(t), postgresstore.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.Apply(ctx, take(limit(t, "r", 0, "1 per hour"), "a", 1)), context.Canceled)
	ops := take(limit(t, "r", 0, "1 per hour"), "a", 1)
	require.NoError(t, s.Apply(t.Context(), ops))
	assert.True(t, ops[0].Result.Allowed, "the canceled take was charged")
	many := make([]store.Op, 513)
	for i := range many {
		many[i] = store.Op{Limit: ops[0].Limit, Key: ratelimit.UserKey("a")}
	}
	require.ErrorIs(t, s.Apply(t.Context(), many), store.ErrInvalidOp)
}

// A dial goes on when the decision that asked for it is over, so short deadlines do not keep the
// pool empty.
func TestDialOutlivesDeadline(t *testing.T) {
	t.Parallel()
	server := pgtest.Database(t)
	newStore(t, server, postgresstore.Config{})
	cfg := pgtest.Pool(t, server.URL())
	cfg.BeforeConnect = func(context.Context, *pgx.ConnConfig) error {
		time.Sleep(300 * time.Millisecond)
		return nil
	}
	s, err := postgresstore.New(cfg, postgresstore.Config{})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		return s.Apply(ctx, take(limit(t, "r", 0, "1000 per hour"), "a", 1)) == nil
	}, 5*time.Second, 10*time.Millisecond)
}
