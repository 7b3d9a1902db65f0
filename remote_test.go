package ratelimit_test

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// mortal is a Store that can die.
type mortal struct {
	ratelimit.Store
	dead  atomic.Bool
	asked atomic.Int64
}

func (m *mortal) Apply(ctx context.Context, ops []ratelimit.Op) error {
	m.asked.Add(1)
	if m.dead.Load() {
		return errors.New("connection refused")
	}
	return m.Store.Apply(ctx, ops)
}

func newMortal() *mortal {
	return &mortal{Store: ratelimit.NewMemoryStore(ratelimit.MemoryConfig{})}
}

// Promise 13: a dead store is not asked on every request, and is back in use soon.
func TestDeadStoreIsNotAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMortal()
		var told []string
		l := newLimiter(t, ratelimit.Config{
			Store: store, OnStoreFailure: ratelimit.FailOpen,
			Rules:   []ratelimit.Rule{rule("r", "1000 per second")},
			OnError: func(_ context.Context, err error) { told = append(told, err.Error()) },
		})
		h, r := l.Handler(ok), request("192.0.2.1:1")
		store.dead.Store(true)
		for range 100 {
			require.Equal(t, http.StatusOK, serve(h, r).Code)
		}
		assert.EqualValues(t, 5, store.asked.Load())
		failure := "ratelimit: store: connection refused"
		down := "ratelimit: store: down: it is asked for no decision but a probe now and then"
		assert.Equal(t, []string{failure, failure, failure, failure, down, failure}, told)
		_, err := l.Take(t.Context(), "r", ratelimit.UserKey("alice"), 1)
		require.ErrorIs(t, err, ratelimit.ErrStoreDown)

		store.dead.Store(false)
		told = nil
		for range 200 {
			time.Sleep(10 * time.Millisecond)
			serve(h, r)
		}
		store.asked.Store(0)
		for range 100 {
			serve(h, r)
		}
		assert.EqualValues(t, 100, store.asked.Load(), "two seconds after it came back")
		assert.Equal(t, []string{
			"ratelimit: store: recovering: it is asked for a growing share of decisions",
			"ratelimit: store: up: it is asked for all decisions",
		}, told)
	})
}

// A client that does not stop asking costs the store nothing until its wait is over.
func TestRefusalCostsTheStoreNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMortal()
		l := newLimiter(t, ratelimit.Config{
			Store: store, OnStoreFailure: ratelimit.FailClosed, Rules: []ratelimit.Rule{rule("r", "2 per minute")},
		})
		h, r := l.Handler(ok), request("192.0.2.1:1")
		serve(h, r)
		serve(h, r)
		require.Equal(t, http.StatusTooManyRequests, serve(h, r).Code)
		for n := range 29 {
			for range 10 {
				assert.Equal(t, strconv.Itoa(30-n), serve(h, r).Header().Get("Retry-After"))
			}
			time.Sleep(time.Second)
		}
		assert.EqualValues(t, 3+2, store.asked.Load(), "and once every ten seconds")
		time.Sleep(time.Second)
		assert.Equal(t, http.StatusOK, serve(h, r).Code, "the wait is over")
		require.Equal(t, http.StatusTooManyRequests, serve(h, r).Code)
		require.NoError(t, l.Reset(t.Context(), "r", ratelimit.ByRemoteIP().KeyOf(netip.MustParseAddr("192.0.2.1"))))
		assert.Equal(t, http.StatusOK, serve(h, r).Code, "reset through this limiter")
	})
}
