package outbound_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/outbound"
)

// Requests that still wait for a slow start when their MaxWait ends do not go on together. The
// server has not recovered: it answers none of them.
func TestNoStormAtMaxWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{handler: answer(429, "Retry-After", "20")}
		tr := newTransport(t, outbound.Config{Base: s, MaxRetries: -1, MaxWait: 30 * time.Second})
		_, err := get(t, tr, url)
		require.NoError(t, err)
		s.latency = time.Hour
		var all sync.WaitGroup
		var unsent atomic.Int32
		for range 100 {
			all.Go(func() {
				if _, err := get(t, tr, url); errors.As(err, new(*outbound.WaitError)) {
					unsent.Add(1)
				}
			})
		}
		time.Sleep(31 * time.Second)
		s.mu.Lock()
		assert.InDelta(t, 10, s.now, 1, "one a second")
		assert.EqualValues(t, 100-s.now, unsent.Load())
		s.mu.Unlock()
		all.Wait()
	})
}

// The denials of requests that were in flight together are one denial: none of them shows that the
// pause was too short.
func TestBackOffAfterABurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{handler: inTurn(answer(200), answer(429)), latency: 10 * time.Millisecond}
		tr := newTransport(t, outbound.Config{Base: s, MaxRetries: -1, MaxWait: time.Hour})
		_, err := get(t, tr, url)
		require.NoError(t, err)
		for i, want := range []float64{0, 1, 2} {
			var all sync.WaitGroup
			began := time.Now()
			for range 10 - 9*min(i, 1) { // one request shows that a pause was too short
				all.Go(func() { _, err := get(t, tr, url); assert.NoError(t, err) })
			}
			all.Wait()
			assert.InDelta(t, want, time.Since(began).Seconds(), 1.1*want/50+0.021, "pause %d", i)
		}
	})
}

// A server without fields shows its limit by denials only. The client still uses most of what is
// allowed, and is denied for fewer than one of five requests.
func TestServerWithoutFields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limited := library(t, "10 per second", ratelimit.NoHeaders)()
		s := &server{latency: 50 * time.Millisecond, handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec := httptest.NewRecorder()
			limited.ServeHTTP(rec, r) // which sends Retry-After
			w.WriteHeader(rec.Code)
		})}
		got := push(t, s, outbound.Config{MaxRetries: -1}, 50, 5*time.Minute)
		t.Logf("%v", s.statuses)
		assert.Greater(t, got, 3000*8/10)
		assert.Less(t, s.statuses[429], (got+s.statuses[429])/5)
	})
}
