package shed_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/shed"
)

var ok = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })

// lasting is a handler that takes as long as the request says.
var lasting = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	d, _ := time.ParseDuration(r.Header.Get("Lasts"))
	time.Sleep(d)
	w.WriteHeader(http.StatusOK)
})

func request(headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func prioritized(p shed.Priority, headers ...string) *http.Request {
	r := request(headers...)
	r.Header.Set("Priority", strconv.Itoa(int(p)))
	return r
}

// byHeader is a priority that any client can choose, which is good for tests only.
func byHeader(r *http.Request) shed.Priority {
	p, _ := strconv.Atoi(r.Header.Get("Priority"))
	return shed.Priority(p)
}

func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// background serves a request in a goroutine of a synctest bubble. It returns when the handler is
// asleep.
func background(h http.Handler, r *http.Request) {
	go h.ServeHTTP(httptest.NewRecorder(), r)
	synctest.Wait()
}

func newShedder(t testing.TB, cfg shed.Config) *shed.Shedder {
	t.Helper()
	s, err := shed.New(cfg)
	require.NoError(t, err)
	return s
}

// fullShedder returns a handler of a Shedder without room for any request.
func fullShedder(t *testing.T, cfg shed.Config, next http.Handler) (*shed.Shedder, http.Handler) {
	t.Helper()
	cfg.MaxInFlight = 1
	s := newShedder(t, cfg)
	release, entered := make(chan struct{}), make(chan struct{})
	block := s.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(entered); <-release }))
	go block.ServeHTTP(httptest.NewRecorder(), request())
	<-entered
	t.Cleanup(func() { close(release) })
	return s, s.Handler(next)
}

// A gauge counts what is inside it now, and the most that was inside at once.
type gauge struct{ now, most atomic.Int64 }

func (g *gauge) enter() {
	n := g.now.Add(1)
	for most := g.most.Load(); n > most && !g.most.CompareAndSwap(most, n); most = g.most.Load() {
	}
}

func (g *gauge) leave() { g.now.Add(-1) }
