package outbound_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/internal/testsize"
	"github.com/ratelimit-go/ratelimit/outbound"
)

// A server that answers anything at all cannot make a request wait longer than MaxPause, nor stop
// the requests for ever.
func TestAnyAnswers(t *testing.T) {
	numbers := []string{"0", "1", "2", "19", "20", "100", "999999999999999", "-1", "x", "", "946684801", "946684900500", "1.5", "3s", "1d"}
	for seed := range uint64(testsize.Of(20, 8)) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				rnd := rand.New(rand.NewPCG(seed, 1))
				any := func() string { return numbers[rnd.IntN(len(numbers))] }
				handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					mu.Lock()
					defer mu.Unlock()
					h := w.Header()
					for _, set := range []func(){
						func() { h.Set("Retry-After", any()) },
						func() { h.Set("RateLimit", fmt.Sprintf(`"%d";r=%s;t=%s`, rnd.IntN(40), any(), any())) },
						func() { h.Set("RateLimit-Policy", fmt.Sprintf(`"%d";q=%s;w=%s`, rnd.IntN(40), any(), any())) },
						func() { h.Set("X-RateLimit-Remaining", any()); h.Set("X-RateLimit-Reset", any()) },
						func() { h.Set("X-RateLimit-Limit", any()) },
						func() { h.Set("RateLimit-Remaining", any()); h.Set("RateLimit-Reset", any()) },
						func() { h.Set("RateLimit-Limit", "20"); h.Set("RateLimit-Policy", "20;w="+any()) },
						func() { h.Set("X-RateLimit-Remaining-Tokens", any()); h.Set("X-RateLimit-Reset-Tokens", any()) },
						func() { h.Set("Date", any()) },
					} {
						if rnd.IntN(3) == 0 {
							set()
						}
					}
					w.WriteHeader([]int{200, 200, 200, 429, 503, 403, 500}[rnd.IntN(7)])
				})
				s := &server{handler: handler, latency: time.Millisecond, jitter: 30 * time.Millisecond}
				tr := newTransport(t, outbound.Config{
					Base: s, MaxWait: time.Hour, MaxPause: 10 * time.Second, MaxRetries: -1,
					OnError: func(context.Context, error) {},
				})
				var all sync.WaitGroup
				for range 5 {
					all.Go(func() {
						for range 40 {
							_, err := get(t, tr, url)
							assert.NoError(t, err)
						}
					})
				}
				began := time.Now()
				all.Wait()
				// A window that is told wrongly can make each request wait for a whole pause.
				assert.Less(t, time.Since(began), 200*11*time.Second)
			})
		})
	}
}

// The memory of a Transport is bounded by MaxKeys, and by 16 quotas for each.
func TestMemory(t *testing.T) {
	n := 0
	s := roundTripper(func(r *http.Request) (*http.Response, error) {
		n++
		h := http.Header{}
		for i := range 16 {
			h.Add("RateLimit", fmt.Sprintf(`"%d-%d";r=5;t=1`, n, i))
		}
		return &http.Response{StatusCode: 200, Header: h, Body: http.NoBody, Request: r}, nil
	})
	tr := newTransport(t, outbound.Config{Base: s, MaxKeys: 100, ShareBy: func(r *http.Request) string { return r.URL.Path }})
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for i := range 3000 {
		_, err := get(t, tr, url+strconv.Itoa(i%500))
		require.NoError(t, err)
	}
	if after := heap(); after > before {
		assert.Less(t, after-before, uint64(2<<20), "for 100 keys with 16 quotas")
	}
	runtime.KeepAlive(tr)
}

// A server that denies and does not send the body cannot hold a request beyond MaxWait.
func TestBodyThatDoesNotCome(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	defer close(release)
	first := true
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !first {
			w.WriteHeader(http.StatusOK)
			return
		}
		first = false
		w.Header().Set("Retry-After", "1")
		w.Header().Set("Content-Length", "100")
		w.WriteHeader(http.StatusTooManyRequests)
		_ = http.NewResponseController(w).Flush()
		<-release
	}))
	base := &http.Transport{}
	defer base.CloseIdleConnections()
	tr := newTransport(t, outbound.Config{Base: base, MaxWait: 3 * time.Second})
	done := make(chan int, 1)
	go func() {
		resp, err := get(t, tr, s.URL)
		if assert.NoError(t, err) {
			done <- resp.StatusCode
		}
	}()
	select {
	case status := <-done:
		assert.Equal(t, http.StatusOK, status)
	case <-time.After(10 * time.Second):
		t.Error("the request still waits")
	}
}

// BenchmarkRoundTrip measures what a Transport adds to a request.
func BenchmarkRoundTrip(b *testing.B) {
	for name, h := range map[string]http.Header{
		"silent":   {},
		"draft 11": {"Ratelimit": {`"a";r=1000000;t=60`}, "Ratelimit-Policy": {`"a";q=1000000;w=60`}},
	} {
		b.Run(name, func(b *testing.B) {
			tr, err := outbound.New(outbound.Config{Base: roundTripper(func(r *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 200, Header: h, Body: http.NoBody, Request: r}, nil
			})})
			require.NoError(b, err)
			r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url, nil)
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := tr.RoundTrip(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
