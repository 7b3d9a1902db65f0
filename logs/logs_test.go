package logs_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/logs"
)

// newLogger returns a Logger without times.
func newLogger(out *bytes.Buffer) *slog.Logger {
	return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
}

func newLimiter(t testing.TB, rules ...ratelimit.Rule) *ratelimit.Limiter {
	t.Helper()
	l, err := ratelimit.New(ratelimit.Config{Rules: rules, Labels: 10})
	require.NoError(t, err)
	return l
}

func rule(name, limits string) ratelimit.Rule {
	return ratelimit.Rule{Name: name, Limits: ratelimit.MustParse(limits)}
}

var ok = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })

// serve sends n requests of one client through l, behind a mux.
func serve(l *ratelimit.Limiter, n int, method string) {
	mux := http.NewServeMux()
	mux.Handle("/orders/{id}", l.Handler(ok))
	for range n {
		mux.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(method, "/orders/7%0aforged", nil))
	}
}

func TestDenialsAreThinnedOut(t *testing.T) {
	for _, tc := range []struct {
		name string
		keys bool
		key  string
	}{{"without keys", false, ""}, {"with keys", true, " ratelimit.key=addr:192.0.2.1"}} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				l := newLimiter(t, rule("r", "2 per hour"))
				stop := logs.Attach(l, logs.Config{Logger: newLogger(&out), Keys: tc.keys})
				serve(l, 2, "GET")
				assert.Empty(t, out.String(), "nothing for allowed requests")
				serve(l, 100, "INVENTED")
				time.Sleep(10 * time.Second)
				serve(l, 100, "GET")
				stop()
				time.Sleep(10 * time.Second)
				serve(l, 100, "GET")
				line := `level=WARN msg="requests denied" ratelimit.rule=r ratelimit.reason=limit ratelimit.denied=`
				rest := ` ratelimit.limit="2 per hour" ratelimit.route=/orders/{id} ratelimit.method=`
				assert.Equal(t, line+"1"+rest+"other ratelimit.retry_after=30m0s"+tc.key+"\n"+
					line+"100"+rest+"GET ratelimit.retry_after=29m50s"+tc.key+"\n", out.String())
			})
		})
	}
}

// Around a mux, nothing has matched the route yet. The path is what a client chose.
func TestPathInsteadOfTheRoute(t *testing.T) {
	for path, want := range map[string]string{
		"/orders/7":                    "/orders/7",
		"/a%0aforged%20level=ERROR":    `"/a%0aforged%20level=ERROR"`,
		"/a\u202e\u00e9":               "/a%E2%80%AE%C3%A9",
		"/" + strings.Repeat("x", 99):  "/" + strings.Repeat("x", 99),
		"/" + strings.Repeat("x", 999): "/" + strings.Repeat("x", 99) + "...",
	} {
		var out bytes.Buffer
		l := newLimiter(t, rule("r", "1 per hour"))
		defer logs.Attach(l, logs.Config{Logger: newLogger(&out)})()
		h := l.Handler(http.NewServeMux())
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.Path, r.URL.RawPath = path, ""
		if decoded, err := url.PathUnescape(path); err == nil {
			r.URL.Path, r.URL.RawPath = decoded, path
		}
		for range 2 {
			h.ServeHTTP(httptest.NewRecorder(), r)
		}
		assert.Contains(t, out.String(), " ratelimit.path="+want+" ratelimit.method=GET ")
		assert.NotContains(t, out.String(), "route")
	}
}

func TestOtherLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		dry, blocking := rule("dry", "1 per hour"), rule("blocking", "2 per hour")
		dry.Mode, blocking.Block = ratelimit.DryRun, &ratelimit.Block{After: ratelimit.Per(1, time.Hour)}
		l := newLimiter(t, dry, blocking)
		require.NoError(t, l.SetPolicy(ratelimit.Policy{
			Rules:   []ratelimit.Rule{dry, blocking},
			Budgets: []ratelimit.Budget{{Name: "budget", Limits: ratelimit.MustParse("1 per hour")}},
		}))
		defer logs.Attach(l, logs.Config{Logger: newLogger(&out), Every: time.Minute})()
		serve(l, 5, "GET")
		for _, name := range []string{"budget", "dry"} {
			for range 3 {
				_, err := l.Take(t.Context(), name, ratelimit.UserKey("a"), 1)
				require.NoError(t, err)
			}
		}
		var messages []string
		for line := range strings.Lines(out.String()) {
			_, rest, _ := strings.Cut(line, `msg="`)
			message, _, _ := strings.Cut(rest, `"`)
			_, rest, _ = strings.Cut(rest, "ratelimit.rule=")
			name, _, _ := strings.Cut(rest, " ")
			messages = append(messages, message+" "+name)
		}
		assert.ElementsMatch(t, []string{
			"requests would be denied dry", "clients blocked blocking", "requests denied blocking",
			"takes denied budget", "takes would be denied dry",
		}, messages)
		assert.NotContains(t, out.String(), "192.0.2.1")
	})
}

// A log handler can be slow, and can call the limiter, such as to send lines by a client with a
// limit. Other requests do not wait for it.
func TestLoggerThatCallsTheLimiter(t *testing.T) {
	l := newLimiter(t, rule("r", "1 per hour"))
	lines := 0
	take := func() {
		_, err := l.Take(t.Context(), "r", ratelimit.UserKey("a"), 1)
		assert.NoError(t, err)
	}
	defer logs.Attach(l, logs.Config{Logger: slog.New(handler{func() { lines++; take() }})})()
	done := make(chan struct{})
	go func() {
		defer close(done)
		take()
		take()
	}()
	select {
	case <-done:
		assert.Equal(t, 1, lines)
	case <-time.After(10 * time.Second):
		t.Error("deadlock")
	}
}

// A handler is a [slog.Handler] that calls a function for each line.
type handler struct{ log func() }

func (h handler) Enabled(context.Context, slog.Level) bool  { return true }
func (h handler) Handle(context.Context, slog.Record) error { h.log(); return nil }
func (h handler) WithAttrs([]slog.Attr) slog.Handler        { return h }
func (h handler) WithGroup(string) slog.Handler             { return h }

func TestDefaultLogger(t *testing.T) {
	before := slog.Default()
	defer slog.SetDefault(before)
	l := newLimiter(t, rule("r", "1 per hour"))
	defer logs.Attach(l, logs.Config{Every: -1})()
	var out bytes.Buffer
	slog.SetDefault(newLogger(&out))
	serve(l, 9, "GET")
	assert.Equal(t, 1, strings.Count(out.String(), "requests denied"), "as with the zero Every")
}

func ExampleAttach() {
	limiter, err := ratelimit.New(ratelimit.Config{
		Rules: []ratelimit.Rule{{Name: "login", Limits: ratelimit.MustParse("5 per minute")}},
	})
	if err != nil {
		panic(err)
	}
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == "retry_after" {
				return slog.Attr{} // for this example
			}
			return a
		},
	}))
	defer logs.Attach(limiter, logs.Config{Logger: logger, Keys: true})()
	for range 6 {
		_, _ = limiter.Take(context.Background(), "login", ratelimit.UserKey("alice"), 1)
	}
	// Output:
	// level=WARN msg="takes denied" ratelimit.rule=login ratelimit.reason=limit ratelimit.denied=1 ratelimit.limit="5 per minute" ratelimit.key=user:alice
}
