package outbound

import (
	"context"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/outbound"
)

const goroutines = 10

// A log has when the server answered, from the first answer on.
type log struct {
	http.RoundTripper

	mu      sync.Mutex
	allowed []time.Duration
	began   time.Time
	denied  int // requests sent after the first answer
}

// RoundTrip sends a request to the server, below the Transport that is tested.
func (l *log) RoundTrip(r *http.Request) (*http.Response, error) {
	l.mu.Lock()
	late := !l.began.IsZero()
	l.mu.Unlock()
	resp, err := l.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.began.IsZero() {
		l.began = time.Now()
	}
	if resp.StatusCode == http.StatusOK {
		l.allowed = append(l.allowed, time.Since(l.began))
	} else if late {
		l.denied++
	}
	return resp, nil
}

// before returns how many requests the server allowed in the time.
func (l *log) before(end time.Duration) float64 {
	n := 0
	for _, at := range l.allowed {
		if at < end {
			n++
		}
	}
	return float64(n)
}

// push has several goroutines send requests as fast as the Transport lets them, for the time.
func push(ctx context.Context, t *testing.T, url string, cfg outbound.Config) *log {
	base := &http.Transport{MaxIdleConnsPerHost: 2 * goroutines}
	defer base.CloseIdleConnections()
	l := &log{RoundTripper: base}
	cfg.Base, cfg.MaxWait = l, time.Hour
	tr, err := outbound.New(cfg)
	if !assert.NoError(t, err) {
		return l
	}
	client := &http.Client{Transport: tr}
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() {
			for {
				r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
				if !assert.NoError(t, err) {
					return
				}
				resp, err := client.Do(r)
				if err != nil { // at the end, the next request would have to wait too long
					assert.ErrorIs(t, err, context.DeadlineExceeded)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		})
	}
	all.Wait()
	return l
}

// lastWindow returns when the last window began: after the last pause of the given length.
func (l *log) lastWindow(pause time.Duration) time.Duration {
	last, before := time.Duration(0), time.Duration(0)
	for _, at := range l.allowed {
		if at-before > pause {
			last = at
		}
		before = at
	}
	return last
}

// A pace is a server, and what it allows.
type pace struct {
	name   string
	url    string
	limit  float64 // per window
	window time.Duration
	burst  float64 // the server allows as much at first, besides
	fixed  bool    // the window is fixed: it begins with a request, and allows all at once
	rules  []outbound.Rule
}

// stalls are the times for which the whole machine stood still for these programs.
type stalls struct {
	n    int
	time time.Duration
}

// watch counts stalls until the context ends: sleeps of 10 ms that lasted longer by 50 ms. No pace
// is kept in them.
func watch(ctx context.Context) (s stalls) {
	const sleep, late = 10 * time.Millisecond, 50 * time.Millisecond
	for ctx.Err() == nil {
		began := time.Now()
		time.Sleep(sleep)
		if d := time.Since(began) - sleep; d > late {
			s.n, s.time = s.n+1, s.time+d
		}
	}
	return s
}

// Several goroutines use at least 95 % of what a server allows, and the server denies no request
// that was sent after its first answer. A busy machine that stalls for a time may cost what the
// server allows in this time, and one denial: requests that were sent apart arrive together.
//
// If the windows are fixed, the share is the share from the first request to the beginning of the
// last window. The windows of express-rate-limit begin with a request, so a client loses the time
// that it lets pass between them.
func TestPace(t *testing.T) {
	paces := servers(t)
	ctx, cancel := context.WithTimeout(t.Context(), run)
	defer cancel()
	logs := make([]*log, len(paces))
	var stalled stalls
	var all sync.WaitGroup
	all.Go(func() { stalled = watch(ctx) })
	for i, p := range paces {
		all.Go(func() { logs[i] = push(ctx, t, p.url, outbound.Config{Rules: p.rules}) })
	}
	all.Wait()
	t.Logf("%d stalls, %v", stalled.n, stalled.time)
	for i, p := range paces {
		t.Run(p.name, func(t *testing.T) {
			l, end := logs[i], run
			if p.fixed {
				end = l.lastWindow(p.window / 2)
				require.NotZero(t, end, "the run has one window only")
			}
			most := p.burst + p.limit*end.Seconds()/p.window.Seconds()
			used := l.before(end)
			t.Logf("%.0f of %.0f requests in %v: %.1f %%; %d denied", used, most, end, 100*used/most, l.denied)
			assert.LessOrEqual(t, l.denied, stalled.n, "denials after the first answer")
			lost := p.limit * stalled.time.Seconds() / p.window.Seconds()
			assert.GreaterOrEqual(t, used, 0.95*most-lost)
		})
	}
}

// run is the time for which requests are sent. The longest window is 20 seconds.
const run = 25 * time.Second

// servers starts the servers.
func servers(t *testing.T) []pace {
	t.Helper()
	short := func(form string) map[string]any {
		return map[string]any{"windowMs": 4000, "limit": 40, "legacyHeaders": false, "standardHeaders": form}
	}
	express := newExpress(t, map[string]map[string]any{
		"draft-6": short("draft-6"), "draft-7": short("draft-7"), "draft-8": short("draft-8"),
		"legacy": {"windowMs": 20_000, "limit": 300, "legacyHeaders": true, "standardHeaders": false},
	})
	own, err := ratelimit.New(ratelimit.Config{Budgets: []ratelimit.Budget{{
		Name: "nginx", Limits: ratelimit.MustParse("20 per second burst 4"), MaxWait: time.Minute,
	}}})
	require.NoError(t, err)
	rules := []outbound.Rule{{Limiter: own, Budget: "nginx"}}
	const second = time.Second
	return []pace{
		{name: "express-rate-limit, draft-6", url: express["draft-6"], limit: 40, window: 4 * second, fixed: true},
		{name: "express-rate-limit, draft-7", url: express["draft-7"], limit: 40, window: 4 * second, fixed: true},
		{name: "express-rate-limit, draft-8", url: express["draft-8"], limit: 40, window: 4 * second, fixed: true},
		// It tells the reset in whole seconds since 1970, rounded up. So nearly a second of each
		// window is lost, and the window has to be long.
		{name: "express-rate-limit, legacy", url: express["legacy"], limit: 300, window: 20 * second, fixed: true},
		// It counts the window before in part. So it allows its limit at once, and then its rate.
		{name: "httprate", url: newHTTPRate(t, 40, 4*second), limit: 40, window: 4 * second},
		{
			name: "this library, draft-11", url: newLibrary(t, ratelimit.DraftHeaders, "40 per 5 seconds"),
			limit: 40, window: 5 * second, burst: 40,
		},
		{
			name: "this library, draft-7", url: newLibrary(t, ratelimit.Draft7Headers, "40 per 5 seconds"),
			limit: 40, window: 5 * second, burst: 40,
		},
		// These fields have no window, so the client finds it out.
		{
			name: "this library, draft-6", url: newLibrary(t, ratelimit.Draft6Headers, "40 per 5 seconds"),
			limit: 40, window: 5 * second, burst: 40,
		},
		{
			name: "this library, legacy", url: newLibrary(t, ratelimit.LegacyHeaders, "40 per 5 seconds"),
			limit: 40, window: 5 * second, burst: 40,
		},
		// It sends no fields, so a rule of the client's own paces the requests.
		{
			name: "nginx with status 503", url: newNginx(t, 20, 20, http.StatusServiceUnavailable),
			limit: 20, window: second, rules: rules,
		},
		{
			name: "nginx with status 429", url: newNginx(t, 20, 20, http.StatusTooManyRequests),
			limit: 20, window: second, rules: rules,
		},
	}
}
