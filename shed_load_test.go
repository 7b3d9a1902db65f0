package ratelimit_test

import (
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
)

const (
	stressMax      = 20 // in flight, of which 2 are kept for what is critical
	stressCritical = 2  // clients that are
	stressRequests = 150
)

// A narrow service has four workers, each of which is busy for a while with a request, and
// counts by itself how many requests there are at once.
type narrow struct {
	all     gauge
	workers chan struct{}
}

func (n *narrow) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.all.enter()
	defer n.all.leave()
	n.workers <- struct{}{}
	defer func() { <-n.workers }()
	time.Sleep(2 * time.Millisecond)
	if byHeader(r) == ratelimit.Critical {
		return
	}
	switch rand.IntN(10) { // what is not critical ends in every way there is
	case 0:
		panic(http.ErrAbortHandler)
	case 1:
		runtime.Goexit()
	case 2:
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = conn.Close()
		}
	case 3:
		_ = http.NewResponseController(w).Flush()
	}
}

// answers counts the requests of each priority by status code, 0 if there was no answer.
type answers struct {
	mu     sync.Mutex
	byCode map[ratelimit.Priority]map[int]int
}

func (a *answers) add(p ratelimit.Priority, code int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.byCode[p] == nil {
		a.byCode[p] = map[int]int{}
	}
	a.byCode[p][code]++
}

// While a flood of less important requests is shed, what is critical is answered, each and every time, and
// no place is lost, whatever ends requests have.
func TestShedderUnderFloodOverTCP(t *testing.T) {
	service := &narrow{workers: make(chan struct{}, 4)}
	s := newShedder(t, ratelimit.ShedConfig{MaxInFlight: stressMax, TargetLatency: 5 * time.Millisecond, Priority: byHeader})
	server := httptest.NewUnstartedServer(s.Handler(service))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	defer server.Close()
	server.Client().Transport.(*http.Transport).MaxIdleConnsPerHost = 64

	important := &http.Client{Transport: new(http.Transport)} // whose connections the flood does not share
	defer important.CloseIdleConnections()
	got := answers{byCode: map[ratelimit.Priority]map[int]int{}}
	send := func(client *http.Client, p ratelimit.Priority) {
		r, err := http.NewRequest(http.MethodPost, server.URL, nil) // which the client does not send again by itself
		if !assert.NoError(t, err) {
			return
		}
		r.Header.Set("Priority", strconv.Itoa(int(p)))
		resp, err := client.Do(r)
		if err != nil {
			got.add(p, 0)
			return
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		got.add(p, resp.StatusCode)
	}

	var clients, flood sync.WaitGroup
	var over atomic.Bool
	for i := range 24 {
		flood.Go(func() {
			for !over.Load() {
				send(server.Client(), ratelimit.Priority(i%2)-1) // sheddable and normal
			}
		})
	}
	for range stressCritical {
		clients.Go(func() {
			for range stressRequests {
				send(important, ratelimit.Critical)
			}
		})
	}
	clients.Wait()
	over.Store(true)
	flood.Wait()

	stats := s.Stats()
	t.Logf("most at once %d; answers %v; %+v", service.all.most.Load(), got.byCode, stats)
	assert.Equal(t, map[int]int{http.StatusOK: stressCritical * stressRequests}, got.byCode[ratelimit.Critical], "all of the critical ones")
	assert.LessOrEqual(t, service.all.most.Load(), int64(stressMax))
	assert.Positive(t, got.byCode[ratelimit.Sheddable][http.StatusServiceUnavailable])
	for p, codes := range got.byCode {
		assert.Equal(t, int64(codes[http.StatusServiceUnavailable]), stats.Shed[p], "what clients were told: %s", p)
	}
	require.Eventually(t, func() bool { return s.Stats().InFlight == 0 }, 10*time.Second, time.Millisecond, "places must not leak")
	for p := ratelimit.Sheddable; p <= ratelimit.Critical; p++ {
		assert.Equal(t, http.StatusOK, serve(s.Handler(ok), prioritized(p)).Code, "after the flood")
	}
}
