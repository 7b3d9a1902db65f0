package shed_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/shed"
)

func TestLessImportantRequestsAreDeniedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShedder(t, shed.Config{MaxInFlight: 8, Priority: byHeader})
		h := s.Handler(lasting)
		denied := func(p shed.Priority, why string) {
			t.Helper()
			assert.Equal(t, http.StatusServiceUnavailable, serve(h, prioritized(p)).Code, why)
		}
		for range 5 {
			background(h, prioritized(shed.Sheddable, "Lasts", "1m"))
		}
		denied(shed.Sheddable, "three quarters of the limit, rounded down")
		denied(-100, "below the lowest")
		background(h, prioritized(shed.Normal, "Lasts", "1m"))
		background(h, prioritized(shed.Normal, "Lasts", "1m"))
		denied(shed.Normal, "the limit")
		background(h, prioritized(shed.Critical, "Lasts", "1m"))
		denied(shed.Critical, "the hard maximum")
		denied(100, "above the highest")
		assert.Equal(t, shed.Stats{Limit: 7, InFlight: 8, Shed: map[shed.Priority]int64{
			shed.Sheddable: 2, shed.Normal: 1, shed.Critical: 2,
		}}, s.Stats())
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Zero(t, s.Stats().InFlight)
		assert.Equal(t, http.StatusOK, serve(h, prioritized(shed.Sheddable)).Code)
	})
}

func TestAllRequestsAreNormalWithoutPriority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShedder(t, shed.Config{MaxInFlight: 8})
		h := s.Handler(lasting)
		for range 8 {
			background(h, request("Lasts", "1m"))
		}
		assert.Equal(t, http.StatusServiceUnavailable, serve(h, request()).Code)
		assert.Equal(t, shed.Stats{Limit: 8, InFlight: 8, Shed: map[shed.Priority]int64{
			shed.Sheddable: 0, shed.Normal: 1, shed.Critical: 0,
		}}, s.Stats())
		time.Sleep(time.Minute)
	})
}

func TestIdleShedderAllowsEveryPriority(t *testing.T) {
	s := newShedder(t, shed.Config{MaxInFlight: 1, MinInFlight: 1, TargetLatency: 10 * time.Microsecond, Priority: byHeader})
	for p := shed.Sheddable; p <= shed.Critical; p++ {
		assert.Equal(t, http.StatusOK, serve(s.Handler(ok), prioritized(p)).Code, "%s", p)
	}
}

func TestExemptRequestsDoNotCount(t *testing.T) {
	panics := 0
	s, h := fullShedder(t, shed.Config{
		OnError: func(_ context.Context, err error) {
			require.EqualError(t, err, "shed: Exempt: panic: in Exempt")
			panics++
		},
		Exempt: func(r *http.Request) bool {
			if r.URL.Path == "/panic" {
				panic("in Exempt")
			}
			return r.URL.Path == "/events"
		},
	}, ok)
	assert.Equal(t, http.StatusServiceUnavailable, serve(h, httptest.NewRequest("GET", "/", nil)).Code)
	assert.Equal(t, http.StatusServiceUnavailable, serve(h, httptest.NewRequest("GET", "/panic", nil)).Code)
	assert.Equal(t, http.StatusOK, serve(h, httptest.NewRequest("GET", "/events", nil)).Code)
	doubtful := httptest.NewRequest("GET", "/events", nil)
	doubtful.Header.Set("X-Original-URL", "/search")
	assert.Equal(t, http.StatusServiceUnavailable, serve(h, doubtful).Code)
	assert.Equal(t, 1, s.Stats().InFlight)
	assert.Equal(t, 1, panics)
}

func TestHandlerIsGivenTheWriterItself(t *testing.T) {
	w := httptest.NewRecorder()
	newShedder(t, shed.Config{MaxInFlight: 1}).Handler(http.HandlerFunc(func(got http.ResponseWriter, _ *http.Request) {
		assert.Same(t, w, got)
	})).ServeHTTP(w, request())
}

func TestPlaceIsFreedOnceHoweverAHandlerEnds(t *testing.T) {
	for name, end := range map[string]func(){
		"return":  func() {},
		"panic":   func() { panic("at random") },
		"abort":   func() { panic(http.ErrAbortHandler) },
		"go exit": runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			s := newShedder(t, shed.Config{MaxInFlight: 1, TargetLatency: time.Second})
			h := s.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				assert.Equal(t, 1, s.Stats().InFlight)
				end()
			}))
			for range 3 {
				var wg sync.WaitGroup
				wg.Go(func() {
					defer func() { _ = recover() }()
					h.ServeHTTP(httptest.NewRecorder(), request())
				})
				wg.Wait()
				require.Zero(t, s.Stats().InFlight)
			}
			assert.Zero(t, s.Stats().Shed[shed.Normal])
		})
	}
}

func TestAllowedRequestAllocatesNothing(t *testing.T) {
	s := newShedder(t, shed.Config{
		MaxInFlight: 10, TargetLatency: time.Second,
		Priority: func(*http.Request) shed.Priority { return shed.Normal },
		Exempt:   func(*http.Request) bool { return false },
	})
	h, w, r := s.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})), httptest.NewRecorder(), request()
	assert.Zero(t, testing.AllocsPerRun(100, func() { h.ServeHTTP(w, r) }))
}

func BenchmarkShedder(b *testing.B) {
	for name, target := range map[string]time.Duration{"fixed": 0, "adaptive": time.Second} {
		h := newShedder(b, shed.Config{MaxInFlight: 1000, TargetLatency: target}).
			Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		r := request()
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				w := httptest.NewRecorder()
				for pb.Next() {
					h.ServeHTTP(w, r)
				}
			})
		})
	}
}
