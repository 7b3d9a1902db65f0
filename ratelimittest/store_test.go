package ratelimittest_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/ratelimittest"
	"github.com/ratelimit-go/ratelimit/store"
	"github.com/ratelimit-go/ratelimit/storetest"
)

func TestStoreThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := ratelimittest.NewStore(ratelimit.NewMemoryStore(ratelimit.MemoryConfig{}))
		h := newService(t, ratelimit.Config{
			Store: s, OnStoreFailure: ratelimit.FailClosed, Hooks: ratelimit.Hooks{StoreState: nil},
		}, "1000 per minute")
		c := ratelimittest.NewClient()
		ratelimittest.Allowed(t, c.Do(h, "GET", "/"))
		s.Fail(errors.New("connection refused"))
		assert.Equal(t, 503, c.Do(h, "GET", "/").StatusCode)
		s.Fail(nil)
		ratelimittest.Allowed(t, c.Do(h, "GET", "/"))
		s.Delay(time.Second)
		began := time.Now()
		assert.Equal(t, 503, c.Do(h, "GET", "/").StatusCode)
		assert.Equal(t, 50*time.Millisecond, time.Since(began), "Config.StoreTimeout")
		s.Delay(20 * time.Millisecond)
		ratelimittest.Allowed(t, c.Do(h, "GET", "/"))
	})
}

// A store that is repaired without a request meanwhile is in full use half a second after a probe.
func TestStoreThatIsRepaired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := ratelimittest.NewStore(ratelimit.NewMemoryStore(ratelimit.MemoryConfig{}))
		h := newService(t, ratelimit.Config{
			Store: s, OnStoreFailure: ratelimit.FailClosed,
			Hooks: ratelimit.Hooks{StoreState: func(context.Context, store.State) {}},
		}, "3 per minute")
		c := ratelimittest.NewClient()
		s.Fail(errors.New("connection refused"))
		for range 7 {
			assert.Equal(t, 503, c.Do(h, "GET", "/").StatusCode)
		}
		s.Fail(nil)
		time.Sleep(2 * time.Second)
		ratelimittest.Allowed(t, c.Do(h, "GET", "/"))
		assert.Equal(t, 503, c.Do(h, "GET", "/").StatusCode, "only a share of requests yet")
		time.Sleep(500 * time.Millisecond)
		ratelimittest.Allowed(t, c.Do(h, "GET", "/"))
		ratelimittest.Allowed(t, c.Do(h, "GET", "/"))
		ratelimittest.Denied(t, c.Do(h, "GET", "/"))
	})
}

// server is a store as redisstore and postgresstore have them.
type server struct {
	store.Store
	*storetest.Leases
}

func (server) Check(limits []*store.Limit) error {
	if limits[0].Count() > 1000 {
		return errors.New("a count beyond 1000")
	}
	return nil
}

func newServer() server {
	return server{ratelimit.NewMemoryStore(ratelimit.MemoryConfig{}), storetest.NewLeases(nil)}
}

// Two instances that share a store with leases count requests in flight together, behind a
// LeaserStore too, until it fails or is slow.
func TestLeaserStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := ratelimittest.NewLeaserStore(newServer())
		var enter func()
		instance := func() http.Handler {
			l, err := ratelimit.New(ratelimit.Config{
				Store: s, OnStoreFailure: ratelimit.FailOpen,
				Rules: []ratelimit.Rule{{Name: "r", Key: ratelimit.Global("all"), InFlight: 1}},
			})
			require.NoError(t, err)
			return l.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				enter()
				w.WriteHeader(http.StatusOK)
			}))
		}
		one, other := instance(), instance()
		during := func() (status int) { // of a request of the other instance
			c := ratelimittest.NewClient()
			enter = func() {
				enter = func() {}
				status = c.Do(other, "GET", "/").StatusCode
			}
			ratelimittest.Allowed(t, c.Do(one, "GET", "/"))
			return status
		}
		assert.Equal(t, http.StatusServiceUnavailable, during())
		s.Fail(errors.New("connection refused"))
		assert.Equal(t, http.StatusOK, during(), "each instance counts for itself")
		s.Fail(nil)
		time.Sleep(2 * time.Second)
		assert.Equal(t, http.StatusServiceUnavailable, during())
		s.Delay(time.Second)
		assert.Equal(t, http.StatusOK, during())
	})
}

// What the inner store cannot hold is a mistake behind a Store too.
func TestStoreChecks(t *testing.T) {
	for _, s := range []store.Store{
		ratelimittest.NewStore(newServer()), ratelimittest.NewLeaserStore(newServer()),
	} {
		_, err := ratelimit.New(ratelimit.Config{
			Store: s, OnStoreFailure: ratelimit.FailOpen,
			Rules: []ratelimit.Rule{{Name: "r", Limits: ratelimit.MustParse("1001 per minute")}},
		})
		require.ErrorContains(t, err, "a count beyond 1000")
	}
}

var _ store.Store = (*ratelimittest.Store)(nil)
