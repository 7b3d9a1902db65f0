package shed_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/shed"
)

func TestReplaceTakesEffectWithTheNextRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		tell := func(name string) func(*http.Request, shed.Priority) {
			return func(*http.Request, shed.Priority) { told = append(told, name) }
		}
		s := newShedder(t, shed.Config{MaxInFlight: 2, OnDenied: tell("before")})
		h := s.Handler(lasting)
		background(h, request("Lasts", "1m"))
		background(h, request("Lasts", "1m"))
		assert.Equal(t, http.StatusServiceUnavailable, serve(h, request()).Code)

		require.EqualError(t, s.Replace(shed.Config{MaxInFlight: 3, MinInFlight: 4}),
			"shed: MinInFlight: 4: want at most MaxInFlight, which is 3")
		assert.Equal(t, http.StatusServiceUnavailable, serve(h, request()).Code, "nothing was replaced")

		require.NoError(t, s.Replace(shed.Config{
			MaxInFlight: 4, Priority: byHeader, OnDenied: tell("after"),
			Exempt: func(r *http.Request) bool { return r.Header.Get("Exempt") != "" },
			DenyHandler: func(w http.ResponseWriter, _ *http.Request, _ time.Duration) {
				w.WriteHeader(http.StatusTooManyRequests)
			},
		}))
		background(h, request("Lasts", "1m"))
		assert.Equal(t, http.StatusTooManyRequests, serve(h, request()).Code, "two of three were in flight before")
		assert.Equal(t, http.StatusOK, serve(h, request("Exempt", "1")).Code)
		assert.Equal(t, http.StatusOK, serve(h, prioritized(shed.Critical)).Code)
		assert.Equal(t, []string{"before", "before", "after"}, told)
		assert.Equal(t, shed.Stats{Limit: 3, InFlight: 3, Shed: map[shed.Priority]int64{
			shed.Sheddable: 0, shed.Normal: 3, shed.Critical: 0,
		}}, s.Stats())
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Zero(t, s.Stats().InFlight)
	})
}

func TestReplaceTellsTheNewOnError(t *testing.T) {
	panics := func(*http.Request) bool { panic("in Exempt") }
	told := ""
	tell := func(name string) func(context.Context, error) {
		return func(context.Context, error) { told += name }
	}
	s := newShedder(t, shed.Config{MaxInFlight: 1, Exempt: panics, OnError: tell("before ")})
	serve(s.Handler(ok), request())
	require.NoError(t, s.Replace(shed.Config{MaxInFlight: 1, Exempt: panics, OnError: tell("after")}))
	serve(s.Handler(ok), request())
	assert.Equal(t, "before after", told)
}

// slow serves n requests at once that take longer than any target here. They end one by one: of
// requests that end at the same time, a Shedder observes only some.
func slow(h http.Handler, n int) {
	for i := range n {
		background(h, request("Lasts", (10*time.Second+time.Duration(i)).String()))
	}
	time.Sleep(11 * time.Second)
	synctest.Wait()
}

func TestReplaceKeepsTheLimitThatWasFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := shed.Config{MaxInFlight: 100, TargetLatency: time.Second}
		s := newShedder(t, cfg)
		h := s.Handler(lasting)
		limit := func(cfg shed.Config) int {
			require.NoError(t, s.Replace(cfg))
			return s.Stats().Limit
		}
		cfg.MaxInFlight = 120
		assert.Equal(t, 120, limit(cfg), "a limit at its maximum stays there")
		cfg.MaxInFlight = 100
		assert.Equal(t, 100, limit(cfg))
		slow(h, 50)
		require.Equal(t, 50, s.Stats().Limit, "all requests were slow")
		cfg.MaxInFlight = 200
		assert.Equal(t, 50, limit(cfg))
		cfg.MinInFlight = 60
		assert.Equal(t, 60, limit(cfg), "within the bounds")
		cfg.MinInFlight, cfg.MaxInFlight = 10, 40
		assert.Equal(t, 40, limit(cfg), "within the bounds")
		cfg.MaxInFlight = 100
		assert.Equal(t, 100, limit(cfg), "it was at its maximum")
		slow(h, 50)
		require.Equal(t, 50, s.Stats().Limit)
		cfg.TargetLatency = 0
		assert.Equal(t, 100, limit(cfg), "it does not adapt")
		cfg.TargetLatency = time.Minute
		assert.Equal(t, 100, limit(cfg), "it begins at the maximum")
	})
}

// A request that began under another target says nothing about the new one.
func TestReplaceIgnoresRequestsThatBeganBefore(t *testing.T) {
	for name, before := range map[string]time.Duration{"no target": 0, "another target": time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newShedder(t, shed.Config{MaxInFlight: 100, TargetLatency: before})
				h := s.Handler(lasting)
				for range 50 {
					background(h, request("Lasts", "10s"))
				}
				require.NoError(t, s.Replace(shed.Config{MaxInFlight: 100, TargetLatency: time.Second}))
				time.Sleep(10 * time.Second)
				synctest.Wait()
				assert.Equal(t, shed.Stats{Limit: 100, Shed: s.Stats().Shed}, s.Stats())
			})
		})
	}
}

func TestReplaceWhileRequestsAreServed(t *testing.T) {
	s := newShedder(t, shed.Config{MaxInFlight: 2, TargetLatency: time.Second})
	h := s.Handler(ok)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 200 {
				serve(h, request())
			}
		})
	}
	for i := range 200 {
		assert.NoError(t, s.Replace(shed.Config{MaxInFlight: 1 + i%3, TargetLatency: time.Duration(i%2) * time.Second}))
	}
	group.Wait()
	assert.Zero(t, s.Stats().InFlight)
	require.NoError(t, s.Replace(shed.Config{MaxInFlight: 2}))
	assert.Equal(t, 2, s.Stats().Limit)
}
