package postgresstore_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/testsize"
	"github.com/ratelimit-go/ratelimit/postgresstore"
	"github.com/ratelimit-go/ratelimit/postgresstore/internal/pgtest"
	"github.com/ratelimit-go/ratelimit/store"
)

// An instance is a limiter under load.
type instance struct {
	limiter *ratelimit.Limiter
	stop    chan struct{}
	callers sync.WaitGroup

	denied, late, viaStore, local atomic.Int64
	mu                            sync.Mutex
	reasons                       map[store.Reason]int
}

// deadline is longer than by default, because a busy machine takes 50 ms and more for a probe, and
// each probe that fails delays the next one. patience is how much later than its deadline a
// decision may come on a busy machine.
const (
	deadline = 250 * time.Millisecond
	patience = 500 * time.Millisecond
)

// load starts callers who take from a bucket that none of them can empty.
func load(t *testing.T, s store.Store) *instance {
	t.Helper()
	i := &instance{stop: make(chan struct{}), reasons: map[store.Reason]int{}}
	var err error
	i.limiter, err = ratelimit.New(ratelimit.Config{
		Store: s, OnStoreFailure: ratelimit.UseMemory, StoreTimeout: deadline,
		Hooks: ratelimit.Hooks{
			Error: func(_ context.Context, err error) {
				i.mu.Lock()
				defer i.mu.Unlock()
				i.reasons[store.ReasonOf(err)]++
			},
			StoreState: func(context.Context, store.State) {},
		},
		Rules: []ratelimit.Rule{{
			Name: "r", Limits: ratelimit.MustParse("1_000_000 per second"), Key: ratelimit.ByClientIP(),
		}},
	})
	require.NoError(t, err)
	for range 8 {
		i.callers.Go(func() {
			for {
				select {
				case <-i.stop:
					return
				case <-time.After(2 * time.Millisecond):
				}
				begin := time.Now()
				d, _ := i.limiter.Take(context.Background(), "r", ratelimit.UserKey("alice"), 1)
				switch {
				case !d.Allowed:
					i.denied.Add(1)
				case d.StoreErr == nil:
					i.viaStore.Add(1)
				default:
					i.local.Add(1)
				}
				if time.Since(begin) > deadline+patience {
					i.late.Add(1)
				}
			}
		})
	}
	t.Cleanup(sync.OnceFunc(func() {
		close(i.stop)
		i.callers.Wait()
	}))
	i.back(t)
	return i
}

// back waits until the store decides again, and returns how long that took.
func (i *instance) back(t *testing.T) time.Duration {
	t.Helper()
	i.viaStore.Store(0)
	begin := time.Now()
	require.Eventually(t, func() bool { return i.viaStore.Load() > 0 }, 20*time.Second, time.Millisecond)
	return time.Since(begin)
}

// down waits until the memory of the process decides.
func (i *instance) down(t *testing.T) {
	t.Helper()
	i.local.Store(0)
	require.Eventually(t, func() bool { return i.local.Load() > 50 }, 10*time.Second, time.Millisecond)
}

// report fails if the load noticed more than that another memory decided.
func (i *instance) report(t *testing.T, what string, back time.Duration) {
	t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	t.Logf("%s: in use again after %v; %d denied, %d late; reasons %v", what, back, i.denied.Load(), i.late.Load(), i.reasons)
	assert.Zero(t, i.denied.Load(), "denied by accident")
	assert.Zero(t, i.late.Load(), "decided later than the deadline")
	// A machine that is not busy takes less than two seconds. On a busy one the server is too slow
	// for the first probe, and the next one comes a second or two later.
	assert.Less(t, back, 6*time.Second)
	clear(i.reasons)
}

// While the server is stopped or killed, no client is denied, and no decision comes later than its
// deadline. Soon after its return the server is in use again.
func TestServerStoppedAndKilled(t *testing.T) {
	server := pgtest.Start(t)
	i := load(t, newStore(t, server, postgresstore.Config{}))
	length := time.Duration(testsize.Of(1000, 400)) * time.Millisecond

	server.Pause()
	i.down(t)
	time.Sleep(length)
	server.Resume()
	i.report(t, "stopped", i.back(t))

	server.Kill()
	i.down(t)
	time.Sleep(length)
	server.Restart() // until the server has recovered and answers
	i.report(t, "killed", i.back(t))

	server.Exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() " +
		"AND backend_type = 'client backend'")
	i.report(t, "backends terminated", i.back(t))
}

// The standby becomes the primary. Until then no client is denied.
func TestFailover(t *testing.T) {
	for name, logged := range map[string]bool{"unlogged": false, "logged": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			primary := pgtest.Start(t)
			s := newStore(t, primary, postgresstore.Config{Logged: logged})
			l := limit(t, "r", 0, "10 per day")
			require.NoError(t, s.Apply(t.Context(), take(l, "spent", 4)))
			standby := primary.StartStandby()
			primary.Exec("CHECKPOINT")
			primary.AwaitReplay(standby)

			alone := connect(t, standby.URL(), postgresstore.Config{Logged: logged})
			wantReason(t, alone.Apply(t.Context(), take(l, "a", 1)), store.ReasonReadOnly)
			wantReason(t, alone.Lease(t.Context(), store.Acquire, []store.Lease{
				{Rule: "r", Key: ratelimit.UserKey("a"), Max: 1, TTL: time.Second},
			}), store.ReasonReadOnly)

			both := "postgres://" + primary.Addr() + "," + standby.Addr() +
				"/?sslmode=disable&user=postgres&dbname=postgres&target_session_attrs=read-write"
			either := connect(t, both, postgresstore.Config{Logged: logged})
			i := load(t, either)
			primary.Kill()
			i.down(t)
			standby.Promote()
			i.report(t, "failed over", i.back(t))

			ops := take(l, "spent", 1)
			require.NoError(t, either.Apply(t.Context(), ops))
			left := int64(9) // an unlogged table is empty
			if logged {
				left = 5
			}
			assert.Equal(t, left, ops[0].Result.Remaining)
		})
	}
}
