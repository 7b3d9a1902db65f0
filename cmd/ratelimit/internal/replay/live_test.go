package replay_test

import (
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/clientip"
	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/accesslog"
	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/replay"
)

// outcome is what must be equal in a live run and in its replay.
type outcome struct {
	Allowed               bool
	Reason                ratelimit.Reason
	Rule, Key             string
	Remaining             int64
	RetryAfter, ResetFull time.Duration
	Rules                 string // the decision of each rule
}

func outcomeOf(d ratelimit.Decision) outcome {
	return outcome{
		Allowed: d.Allowed, Reason: d.Reason, Rule: d.Rule, Key: d.Key.String(),
		Remaining: d.Remaining, RetryAfter: d.RetryAfter, ResetFull: d.ResetAfter,
	}
}

// policy has every control that a log can feed.
func policy(user func(*http.Request) string) ratelimit.Config {
	cost := func(r *http.Request) int64 {
		n, _ := strconv.ParseInt(r.URL.Query().Get("limit"), 10, 64)
		return min(max(1, n), 5)
	}
	return ratelimit.Config{
		ClientIP: clientip.ForwardedFor(clientip.TrustedProxies("127.0.0.0/8")),
		Rules: []ratelimit.Rule{
			{Name: "per-client", Limits: ratelimit.MustParse("30 per minute; 200 per hour"), Cost: cost},
			{Name: "agent", Limits: ratelimit.MustParse("90 per minute"), Key: ratelimit.ByHeader("User-Agent")},
			{Name: "half", Limits: ratelimit.MustParse("20 per minute"), Mode: ratelimit.EnforcePercent(50)},
			{Name: "dry", Limits: ratelimit.MustParse("5 per minute"), Mode: ratelimit.DryRun},
			{Name: "busy", InFlight: 3},
		},
		Routes: map[string][]ratelimit.Rule{
			"POST /login": {{
				Name: "login", Limits: ratelimit.MustParse("5 per minute"), CountOnly: ratelimit.StatusIn(401),
				Block: &ratelimit.Block{
					After: ratelimit.Per(4, 10*time.Minute), For: 40 * time.Second, When: ratelimit.StatusIn(401),
				},
			}},
			"GET /orders/{id}": {{
				Name: "orders", Limits: ratelimit.MustParse("8 per minute"),
				Key: ratelimit.FirstOf(ratelimit.ByUser(user), ratelimit.ByClientIP()),
			}, {
				Name: "orders-busy", InFlight: 2,
			}},
		},
	}
}

func basicUser(r *http.Request) string { name, _, _ := r.BasicAuth(); return name }

// live is a service with a limiter on a clock of its own. It logs each request when it ends.
type live struct {
	*httptest.Server
	mu       sync.Mutex
	now      time.Time
	outcomes map[string]outcome // by the id of the request
	log      func(now, begin time.Time, r *http.Request, client string, status int)
	gates    sync.Map // what a handler waits for, by id
	entered  chan string
}

func newLive(t *testing.T) *live {
	l := &live{now: time.Date(2026, 11, 20, 11, 59, 7, 0, time.UTC), outcomes: map[string]outcome{}, entered: make(chan string)}
	cfg := policy(basicUser)
	cfg.Clock = l.clock
	cfg.Hooks.Decided = func(r *http.Request, d ratelimit.Decision, rules iter.Seq[ratelimit.Decision]) {
		l.mu.Lock()
		defer l.mu.Unlock()
		o := outcomeOf(d)
		for one := range rules {
			o.Rules += fmt.Sprintf("%s %t %d %s; ", one.Rule, one.Allowed, one.Remaining, one.Key)
		}
		l.outcomes[r.URL.Query().Get("id")] = o
	}
	limiter, err := ratelimit.New(cfg)
	require.NoError(t, err)
	limited := limiter.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if gate, ok := l.gates.Load(q.Get("id")); ok {
			l.entered <- q.Get("id")
			<-gate.(chan struct{})
		}
		status, err := strconv.Atoi(q.Get("status"))
		if err != nil {
			status = 200
		}
		w.WriteHeader(status)
	}))
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin, s := l.clock(), &statusWriter{ResponseWriter: w}
		limited.ServeHTTP(s, r)
		client, _ := limiter.ClientIP().Addr(r)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.log(l.now, begin, r, client.String(), s.status)
	}))
	t.Cleanup(l.Close)
	return l
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (s *statusWriter) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

func (l *live) clock() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now
}

func (l *live) advance(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = l.now.Add(d)
}

// send sends a random request and returns its status.
func (l *live) send(t *testing.T, random *rand.Rand, id string) int {
	q := url.Values{"id": {id}, "limit": {strconv.Itoa(random.IntN(7))}}
	method, path := "GET", "/orders/"+strconv.Itoa(random.IntN(9))
	switch random.IntN(4) {
	case 0:
		method, path = "POST", "/login"
		q.Set("status", []string{"200", "401"}[random.IntN(2)])
	case 1:
		path = "/other//x"
	}
	r, err := http.NewRequest(method, l.URL+path+"?"+q.Encode(), nil)
	if !assert.NoError(t, err) {
		return 0
	}
	r.Header.Set("X-Forwarded-For", fmt.Sprintf("192.0.2.%d", random.IntN(6)))
	if random.IntN(5) == 0 {
		r.Header.Set("X-Forwarded-For", fmt.Sprintf("2001:db8:0:%d::%d", random.IntN(2), random.IntN(9)))
	}
	r.Header.Set("User-Agent", []string{`plain/1`, `with "quotes" and \`, ""}[random.IntN(3)])
	if random.IntN(3) == 0 {
		r.SetBasicAuth("user"+strconv.Itoa(random.IntN(3)), "secret")
	}
	res, err := http.DefaultClient.Do(r)
	if !assert.NoError(t, err) {
		return 0
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	assert.NoError(t, err)
	return res.StatusCode
}

// replayed returns the decisions of a replay of the log.
func replayed(t *testing.T, format, text string) map[string]outcome {
	reader := accesslog.Open([]accesslog.Source{{Name: "log", Open: func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(text)), nil
	}}}, accesslog.Options{Window: time.Hour})
	defer reader.Close()
	engine, err := replay.New(replay.Policy{Config: policy(replay.UserOf)}, replay.Options{ClientFromLog: true})
	require.NoError(t, err)
	got := map[string]outcome{}
	for {
		e, err := reader.Next()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		res, err := engine.Serve(e)
		require.NoError(t, err)
		o := outcomeOf(res.Decision)
		for _, one := range res.Applied {
			o.Rules += fmt.Sprintf("%s %t %d %s; ", one.Rule, !one.Denied, one.Remaining, one.Key)
		}
		require.Equal(t, res.Denied, !o.Allowed)
		got[e.URL.Query().Get("id")] = o
	}
	engine.Finish()
	stats := reader.Stats()
	require.Zero(t, stats.Unreadable, "%v", stats.First)
	require.Equal(t, []string{format}, stats.Formats)
	return got
}

func compare(t *testing.T, l *live, got map[string]outcome) {
	denied, reasons := 0, map[ratelimit.Reason]int{}
	for id, want := range l.outcomes {
		require.Equal(t, want, got[id], "request %s", id)
		reasons[want.Reason]++
		if !want.Allowed {
			denied++
		}
	}
	require.Len(t, got, len(l.outcomes))
	t.Logf("%d requests, %d denied: %v", len(got), denied, reasons)
	assert.Greater(t, denied, len(got)/20, "the run shows denials")
	assert.Greater(t, len(got)-denied, len(got)/20, "the run shows more than denials")
	assert.NotZero(t, reasons[ratelimit.ReasonLimit])
	assert.NotZero(t, reasons[ratelimit.ReasonBlocked])
}

var quoted = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// TestCombinedLogDecidesAsTheLiveRun sends requests one after another on whole seconds.
func TestCombinedLogDecidesAsTheLiveRun(t *testing.T) {
	t.Parallel()
	l := newLive(t)
	var log strings.Builder
	l.log = func(now, _ time.Time, r *http.Request, client string, status int) {
		user := basicUser(r)
		if user == "" {
			user = "-"
		}
		fmt.Fprintf(&log, "%s - %s [%s] \"%s %s %s\" %d 12 \"-\" \"%s\"\n", client, user, now.Format("02/Jan/2006:15:04:05 -0700"),
			r.Method, r.RequestURI, r.Proto, status, quoted.Replace(r.UserAgent()))
	}
	random := rand.New(rand.NewPCG(14, 7))
	for i := range 1000 {
		l.advance(time.Duration(random.IntN(3)*random.IntN(3)) * time.Second)
		l.send(t, random, strconv.Itoa(i))
	}
	compare(t, l, replayed(t, "combined", log.String()))
}

// TestJSONLogDecidesAsTheLiveRun keeps requests in flight, so that their ends matter.
func TestJSONLogDecidesAsTheLiveRun(t *testing.T) {
	t.Parallel()
	l := newLive(t)
	var log strings.Builder
	l.log = func(now, begin time.Time, r *http.Request, client string, status int) {
		record, err := json.Marshal(map[string]any{
			slog.TimeKey: now, slog.LevelKey: slog.LevelInfo, slog.MessageKey: "request",
			"method": r.Method, "uri": r.RequestURI, "status": status, "duration": now.Sub(begin),
			"client_ip": client, "user": basicUser(r), "user_agent": r.UserAgent(),
		})
		assert.NoError(t, err)
		log.Write(append(record, '\n'))
	}
	random := rand.New(rand.NewPCG(14, 8))
	type flight struct {
		id   string
		gate chan struct{}
		done chan int
	}
	var flights []flight
	for i := 0; i < 900 || len(flights) > 0; i++ {
		l.advance(time.Duration(1 + random.IntN(int(500*time.Millisecond)))) // never two events at once
		if n := len(flights); n > 0 && (i >= 900 || n > 24 || random.IntN(3) == 0) {
			k := random.IntN(n)
			f := flights[k]
			close(f.gate)
			<-f.done
			flights = append(flights[:k], flights[k+1:]...)
			continue
		}
		f := flight{strconv.Itoa(i), make(chan struct{}), make(chan int, 1)}
		l.gates.Store(f.id, f.gate)
		copied := rand.New(rand.NewPCG(uint64(i), 9))
		go func() { f.done <- l.send(t, copied, f.id) }()
		select {
		case <-l.entered:
			flights = append(flights, f)
		case <-f.done: // denied
		}
	}
	got := replayed(t, "slog", log.String())
	compare(t, l, got)
	inFlight := 0
	for _, o := range got {
		if o.Reason == ratelimit.ReasonInFlight {
			inFlight++
		}
	}
	assert.Greater(t, inFlight, 20)
}
