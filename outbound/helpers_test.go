package outbound_test

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/outbound"
)

// A server is an [http.RoundTripper] that calls a handler, and takes time like a network.
type server struct {
	handler http.Handler
	latency time.Duration
	jitter  time.Duration
	until   time.Time // the answers before it count

	mu        sync.Mutex
	statuses  map[int]int
	answered  bool // one request was
	late      int  // denials of requests sent after the first answer
	most, now int  // requests in flight
}

func (s *server) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	after := s.answered
	s.now++
	s.most = max(s.most, s.now)
	s.mu.Unlock()
	time.Sleep(s.travel())
	w := httptest.NewRecorder()
	w.Header().Set("Date", time.Now().UTC().Format(http.TimeFormat))
	s.handler.ServeHTTP(w, r)
	time.Sleep(s.travel())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now--
	s.answered = true
	if s.statuses == nil {
		s.statuses = map[int]int{}
	}
	if s.until.IsZero() || time.Now().Before(s.until) {
		s.statuses[w.Code]++
	}
	if after && w.Code >= 400 {
		s.late++
	}
	resp := w.Result()
	resp.Request = r
	return resp, nil
}

// travel returns a random time, around the latency.
func (s *server) travel() time.Duration {
	if s.jitter == 0 {
		return s.latency
	}
	return s.latency + rand.N(s.jitter)
}

// newTransport returns a Transport, and fails the test on every error it reports.
func newTransport(t *testing.T, cfg outbound.Config) *outbound.Transport {
	t.Helper()
	tr, err := outbound.New(cfg)
	require.NoError(t, err)
	return tr
}

// get sends a request for a path and discards the body.
func get(t *testing.T, tr http.RoundTripper, url string) (*http.Response, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	resp, err := tr.RoundTrip(r)
	if err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	return resp, err
}

// answer is a handler that sends a status and header fields, in pairs.
func answer(status int, fields ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(fields); i += 2 {
			w.Header().Add(fields[i], fields[i+1])
		}
		w.WriteHeader(status)
	}
}

// inTurn is a handler that calls one handler per request, and the last one ever after.
func inTurn(handlers ...http.HandlerFunc) http.HandlerFunc {
	var mu sync.Mutex
	n := 0
	return func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		h := handlers[min(n, len(handlers)-1)]
		n++
		mu.Unlock()
		h(w, r)
	}
}

// A window is a server with a fixed window or a sliding one.
type window struct {
	limit   int
	window  time.Duration
	aligned bool // windows begin at whole multiples; otherwise with a request
	sliding bool // the window before counts in part
	fields  func(h http.Header, w *window, left int, reset time.Duration)

	mu          sync.Mutex
	begin       time.Time
	prev, count int
}

func (s *window) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	switch {
	case s.begin.IsZero() && s.aligned:
		s.begin = now.Truncate(s.window).Add(300 * time.Millisecond)
		if s.begin.After(now) {
			s.begin = s.begin.Add(-s.window)
		}
	case s.begin.IsZero():
		s.begin = now
	case now.Sub(s.begin) >= s.window && s.aligned:
		n := now.Sub(s.begin) / s.window
		s.begin = s.begin.Add(n * s.window)
		if s.prev, s.count = s.count, 0; n > 1 {
			s.prev = 0
		}
	case now.Sub(s.begin) >= s.window:
		s.begin, s.count = now, 0
	}
	used := float64(s.count)
	if s.sliding {
		used += float64(s.prev) * (1 - now.Sub(s.begin).Seconds()/s.window.Seconds())
	}
	reset := s.begin.Add(s.window).Sub(now)
	denied := int(math.Round(used))+1 > s.limit
	if !denied {
		s.count++
		used++
	}
	s.fields(w.Header(), s, max(s.limit-int(math.Round(used)), 0), reset)
	if denied {
		w.Header().Set("Retry-After", up(reset))
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	w.WriteHeader(http.StatusOK)
}

// A filling is a server with a token bucket. It always tells when the bucket is full, as GCRA does.
type filling struct {
	limit  int
	window time.Duration
	round  func(time.Duration) string

	mu   sync.Mutex
	full time.Time // when it is
}

func (s *filling) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, token := time.Now(), s.window/time.Duration(s.limit)
	next := latest(s.full, now).Add(token)
	status := http.StatusOK
	if over := next.Sub(now.Add(s.window)); over > 0 {
		status = http.StatusTooManyRequests
		w.Header().Set("Retry-After", up(over))
	} else {
		s.full = next
	}
	debt := s.full.Sub(now)
	w.Header().Set("X-RateLimit-Limit", strconv.Itoa(s.limit))
	w.Header().Set("X-RateLimit-Remaining", strconv.Itoa(int((s.window-debt)/token)))
	w.Header().Set("X-RateLimit-Reset", s.round(debt))
	w.WriteHeader(status)
}

// A leaking is a server with a bucket of requests that leave it at a rate per second, such as
// Shopify. It tells no reset.
type leaking struct {
	size, rate int
	fields     func(h http.Header, used, size int)

	mu   sync.Mutex
	used float64
	at   time.Time // of used
}

func (s *leaking) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.used, s.at = max(s.used-float64(s.rate)*now.Sub(latest(s.at, time.Unix(0, 0))).Seconds(), 0), now
	status := http.StatusOK
	if s.used+1 > float64(s.size) {
		status = http.StatusTooManyRequests
		w.Header().Set("Retry-After", "1")
	} else {
		s.used++
	}
	s.fields(w.Header(), int(math.Ceil(s.used)), s.size)
	w.WriteHeader(status)
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func up(d time.Duration) string   { return strconv.Itoa(int(math.Ceil(d.Seconds()))) }
func down(d time.Duration) string { return strconv.Itoa(int(d.Seconds())) }

func legacy(round func(float64) float64) func(h http.Header, s *window, left int, reset time.Duration) {
	return func(h http.Header, s *window, left int, reset time.Duration) {
		at := round(float64(time.Now().Add(reset).UnixNano()) / 1e9)
		h.Set("X-RateLimit-Limit", strconv.Itoa(s.limit))
		h.Set("X-RateLimit-Remaining", strconv.Itoa(left))
		h.Set("X-RateLimit-Reset", fmt.Sprintf("%.0f", at))
	}
}

func gitHub(h http.Header, s *window, left int, reset time.Duration) {
	h.Set("X-RateLimit-Resource", "core")
	legacy(math.Floor)(h, s, left, reset)
}

func draft6(h http.Header, s *window, left int, reset time.Duration) {
	h.Set("RateLimit-Policy", fmt.Sprintf("%d;w=%.0f", s.limit, s.window.Seconds()))
	h.Set("RateLimit-Limit", strconv.Itoa(s.limit))
	h.Set("RateLimit-Remaining", strconv.Itoa(left))
	h.Set("RateLimit-Reset", up(reset))
}

func draft7(h http.Header, s *window, left int, reset time.Duration) {
	h.Set("RateLimit-Policy", fmt.Sprintf("%d;w=%.0f", s.limit, s.window.Seconds()))
	h.Set("RateLimit", fmt.Sprintf("limit=%d, remaining=%d, reset=%s", s.limit, left, up(reset)))
}

func draft8(h http.Header, s *window, left int, reset time.Duration) {
	h.Set("RateLimit-Policy", fmt.Sprintf(`"a"; q=%d; w=%.0f; pk=:MTI3:`, s.limit, s.window.Seconds()))
	h.Set("RateLimit", fmt.Sprintf(`"a"; r=%d; t=%s`, left, up(reset)))
}

func durations(h http.Header, s *window, left int, reset time.Duration) {
	h.Set("X-RateLimit-Limit-Requests", strconv.Itoa(s.limit))
	h.Set("X-RateLimit-Remaining-Requests", strconv.Itoa(left))
	h.Set("X-RateLimit-Reset-Requests", reset.String())
}

func downDelta(h http.Header, s *window, left int, reset time.Duration) {
	h.Set("RateLimit-Limit", strconv.Itoa(s.limit))
	h.Set("RateLimit-Remaining", strconv.Itoa(left))
	h.Set("RateLimit-Reset", down(reset))
}

// request returns a POST request with a body that cannot be sent again.
func request(t *testing.T, body io.ReadCloser) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://api.test/", nil)
	require.NoError(t, err)
	if body != nil {
		r.Body = body
	}
	return r
}
