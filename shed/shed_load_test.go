package shed_test

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

	"github.com/ratelimit-go/ratelimit/shed"
)

const (
	floodMax      = 20 // in flight, of which 2 are kept for critical requests
	floodCritical = 2  // clients that send critical requests
	floodRequests = 80 // of each of them
)

// A narrow service has four workers. Each of them is busy with a request for a while. The service
// counts the requests in flight by itself.
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
	if byHeader(r) == shed.Critical {
		return
	}
	endSomehow(w)
}

// endSomehow ends a handler in a random one of all ways.
func endSomehow(w http.ResponseWriter) {
	switch rand.IntN(10) {
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

// answers counts the requests of each priority by status code, 0 if there was no response.
type answers struct {
	url    string
	mu     sync.Mutex
	byCode map[shed.Priority]map[int]int
}

func (a *answers) add(p shed.Priority, code int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.byCode[p] == nil {
		a.byCode[p] = map[int]int{}
	}
	a.byCode[p][code]++
}

// send sends a POST, which the client does not repeat by itself.
func (a *answers) send(t *testing.T, client *http.Client, p shed.Priority) {
	r, err := http.NewRequest(http.MethodPost, a.url, nil)
	if !assert.NoError(t, err) {
		return
	}
	r.Header.Set("Priority", strconv.Itoa(int(p)))
	resp, err := client.Do(r)
	if err != nil {
		a.add(p, 0)
		return
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	a.add(p, resp.StatusCode)
}

// flood sends less important requests until all critical requests have been answered.
func (a *answers) flood(t *testing.T, client *http.Client) {
	important := &http.Client{Transport: new(http.Transport)} // the flood uses other connections
	defer important.CloseIdleConnections()
	var critical, others sync.WaitGroup
	var over atomic.Bool
	for i := range 24 {
		others.Go(func() {
			for !over.Load() {
				a.send(t, client, shed.Priority(i%2)-1) // sheddable and normal
			}
		})
	}
	for range floodCritical {
		critical.Go(func() {
			for range floodRequests {
				a.send(t, important, shed.Critical)
			}
		})
	}
	critical.Wait()
	over.Store(true)
	others.Wait()
}

// While a flood of less important requests is denied, every critical request is answered. No place
// is lost, however requests end.
func TestCriticalRequestsAreAnsweredDuringAFloodOverTCP(t *testing.T) {
	service := &narrow{workers: make(chan struct{}, 4)}
	s := newShedder(t, shed.Config{MaxInFlight: floodMax, TargetLatency: 5 * time.Millisecond, Priority: byHeader})
	server := httptest.NewUnstartedServer(s.Handler(service))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	defer server.Close()
	server.Client().Transport.(*http.Transport).MaxIdleConnsPerHost = 64

	got := answers{url: server.URL, byCode: map[shed.Priority]map[int]int{}}
	got.flood(t, server.Client())

	stats := s.Stats()
	t.Logf("most at once %d; answers %v; %+v", service.all.most.Load(), got.byCode, stats)
	assert.Equal(t, map[int]int{http.StatusOK: floodCritical * floodRequests}, got.byCode[shed.Critical], "all critical requests")
	assert.LessOrEqual(t, service.all.most.Load(), int64(floodMax))
	assert.Positive(t, got.byCode[shed.Sheddable][http.StatusServiceUnavailable])
	for p, codes := range got.byCode {
		assert.Equal(t, int64(codes[http.StatusServiceUnavailable]), stats.Shed[p], "what clients were told: %s", p)
	}
	require.Eventually(t, func() bool { return s.Stats().InFlight == 0 }, 10*time.Second, time.Millisecond, "places must not leak")
	for p := shed.Sheddable; p <= shed.Critical; p++ {
		assert.Equal(t, http.StatusOK, serve(s.Handler(ok), prioritized(p)).Code, "after the flood")
	}
}
