package ratelimit_test

import (
	"context"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/testsize"
)

// A gauge counts what is inside it, and the highest count.
type gauge struct{ now, most atomic.Int64 }

func (g *gauge) enter() {
	n := g.now.Add(1)
	for most := g.most.Load(); n > most && !g.most.CompareAndSwap(most, n); most = g.most.Load() {
	}
}

func (g *gauge) leave() { g.now.Add(-1) }

const (
	floodClients = 8
	floodEach    = 3   // in flight for each client
	floodTotal   = 10  // in flight for all
	floodServed  = 100 // fewer would prove nothing
)

// A flood is a handler that ends in any way, at random. It counts the requests in it by itself.
type flood struct {
	each   [floodClients]gauge
	all    gauge
	served atomic.Int64
}

func floodConfig() ratelimit.Config {
	return ratelimit.Config{Rules: []ratelimit.Rule{
		{Name: "each", InFlight: floodEach, Key: ratelimit.ByHeader("Client")},
		{Name: "all", InFlight: floodTotal, Key: ratelimit.Global("all")},
	}}
}

// floodRequest returns a request, and a function that ends it. One client in ten leaves soon.
func floodRequest(t *testing.T, url string, client int) (*http.Request, context.CancelFunc) {
	ctx, cancel := context.WithCancel(t.Context())
	r := httptest.NewRequest(http.MethodPost, url, nil) // which the client does not send again by itself
	r.RequestURI = ""
	if rand.IntN(10) == 0 {
		r.Header.Set("Leaves", "1")
		ctx, cancel = context.WithTimeout(t.Context(), time.Duration(rand.IntN(5000))*time.Microsecond)
	}
	r.Header.Set("Client", strconv.Itoa(client))
	return r.WithContext(ctx), cancel
}

func (f *flood) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	client, _ := strconv.Atoi(r.Header.Get("Client"))
	f.served.Add(1)
	f.all.enter()
	defer f.all.leave()
	f.each[client].enter()
	defer f.each[client].leave()
	time.Sleep(time.Duration(rand.IntN(1000)) * time.Microsecond)
	if r.Header.Get("Leaves") != "" {
		<-r.Context().Done()
	}
	switch rand.IntN(16) {
	case 0:
		panic("at random")
	case 1:
		panic(http.ErrAbortHandler)
	case 2:
		runtime.Goexit()
	case 3:
		if h, ok := w.(http.Hijacker); ok {
			conn, _, err := h.Hijack()
			if err == nil {
				go conn.Close()
			}
			return
		}
	}
	_, _ = io.WriteString(w, "ok")
}

// run sends 10,000 requests by do, or 2,000 in the smaller size, and counts the statuses. On a busy
// machine few of these are served: then it sends more.
func (f *flood) run(parallel int, do func(client int) int) map[int]int {
	var wg sync.WaitGroup
	var left atomic.Int64
	var mu sync.Mutex
	codes := map[int]int{}
	left.Store(int64(testsize.Of(10_000, 2_000)))
	for range parallel {
		wg.Go(func() {
			for left.Add(-1) >= 0 || f.served.Load() <= floodServed {
				code := do(rand.IntN(floodClients))
				mu.Lock()
				codes[code]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return codes
}

func (f *flood) check(t *testing.T, l *ratelimit.Limiter, codes map[int]int) {
	t.Helper()
	t.Logf("%d served; most at once %d, for each %d; answers %v", f.served.Load(), f.all.most.Load(), f.each[0].most.Load(), codes)
	for i := range f.each {
		assert.LessOrEqual(t, f.each[i].most.Load(), int64(floodEach), "client %d", i)
	}
	assert.LessOrEqual(t, f.all.most.Load(), int64(floodTotal))
	assert.Greater(t, f.served.Load(), int64(floodServed), "too few to prove anything")
	assert.Positive(t, codes[429])
	assert.Positive(t, codes[503])
	require.Eventually(t, func() bool { permits, holders := l.PermitsHeld(); return permits+holders == 0 }, 10*time.Second,
		time.Millisecond,
		"permits must not leak")
}

// Requests over TCP panic, end their goroutines, hijack connections, or lose their clients.
func TestInFlightFloodOverTCP(t *testing.T) {
	f := new(flood)
	l := newLimiter(t, floodConfig())
	server := httptest.NewUnstartedServer(l.Handler(f))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	defer server.Close()
	server.Client().Transport.(*http.Transport).MaxIdleConnsPerHost = 64
	codes := f.run(32, func(client int) int {
		req, cancel := floodRequest(t, server.URL, client)
		defer cancel()
		resp, err := server.Client().Do(req)
		if err != nil {
			return 0
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		return resp.StatusCode
	})
	f.check(t, l, codes)
}

// Without a network more requests are in flight at once. Meanwhile the rules are replaced.
func TestInFlightFlood(t *testing.T) {
	f := new(flood)
	l := newLimiter(t, floodConfig())
	h := l.Handler(f)
	codes := f.run(64, func(client int) int {
		if rand.IntN(50) == 0 {
			assert.NoError(t, l.SetPolicy(ratelimit.Policy{Rules: floodConfig().Rules}))
		}
		w := httptest.NewRecorder()
		r, cancel := floodRequest(t, "/", client)
		defer cancel()
		ended := make(chan struct{})
		go func() { // which the handler may end
			defer close(ended)
			defer func() { _ = recover() }()
			h.ServeHTTP(w, r)
		}()
		<-ended
		return w.Code
	})
	f.check(t, l, codes)
}
