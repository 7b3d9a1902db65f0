// Package logs writes what a limiter denies to a log, in lines that a person can act on.
//
//	stop := logs.Attach(limiter, logs.Config{})
//	defer stop()
//
// An attack makes thousands of denials a second. So each rule gets one line in 10 seconds, with the
// number of denials since the line before:
//
//	level=WARN msg="requests denied" ratelimit.rule=login ratelimit.reason=limit
//		ratelimit.denied=812 ratelimit.limit="5 per minute" ratelimit.route="POST /login" ...
//
// A limiter around a mux does not know the route yet. Then the line has the path instead.
//
// The limiter itself logs errors, and when its store goes down and is up again: see
// [ratelimit.Hooks]. Nothing is logged for a request that is allowed.
package logs

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/ratelimit-go/ratelimit"
)

// Config says what to log. The zero Config is valid.
type Config struct {
	_ [0]func()

	// Logger gets the lines. Nil means [slog.Default] at the time of each line.
	Logger *slog.Logger
	// Every is the shortest time between two lines about one rule: about its denials, about what it
	// would have denied in a dry run, and about its blocks. Zero or less means 10 seconds.
	Every time.Duration
	// Keys adds the key of the denied request that caused the line. Keys are personal data: the
	// addresses and names of clients. Without Keys no line has any. [ratelimit.Limiter.Label] gives
	// their text.
	Keys bool
}

// Attach logs what l denies, until stop is called. It is safe for concurrent use.
func Attach(l *ratelimit.Limiter, cfg Config) (stop func()) {
	w := &writer{limiter: l, cfg: cfg}
	return l.Observe(ratelimit.Hooks{
		Denied: func(r *http.Request, d ratelimit.Decision) {
			w.decision(r.Context(), slog.LevelWarn, "requests denied", r, d)
		},
		DryRun: func(r *http.Request, d ratelimit.Decision) {
			w.decision(r.Context(), slog.LevelInfo, "requests would be denied", r, d)
		},
		Taken: func(ctx context.Context, d ratelimit.Decision) {
			switch {
			case !d.Allowed:
				w.decision(ctx, slog.LevelWarn, "takes denied", nil, d)
			case d.Reason != "" && d.Reason != ratelimit.ReasonStore:
				w.decision(ctx, slog.LevelInfo, "takes would be denied", nil, d)
			}
		},
		Blocked: w.blocked,
	})
}

type writer struct {
	limiter *ratelimit.Limiter
	cfg     Config
	lines   sync.Map // of line to *sampler: a few for each rule
}

// A line is what is thinned out together.
type line struct{ message, rule string }

type sampler struct {
	sometimes rate.Sometimes
	since     atomic.Int64 // events since the last line
}

// every returns the shortest time between two lines about one rule.
func (w *writer) every() time.Duration {
	if w.cfg.Every <= 0 {
		return 10 * time.Second
	}
	return w.cfg.Every
}

// sample calls log now and then, with the number of events since the last call.
func (w *writer) sample(message, rule string, log func(n int64)) {
	got, ok := w.lines.Load(line{message, rule})
	if !ok {
		fresh := &sampler{sometimes: rate.Sometimes{Interval: w.every()}}
		got, _ = w.lines.LoadOrStore(line{message, rule}, fresh)
	}
	s := got.(*sampler)
	s.since.Add(1)
	due := false
	s.sometimes.Do(func() { due = true })
	if due { // without the lock of sometimes: a logger may be slow, and may call the limiter
		log(s.since.Swap(0))
	}
}

func (w *writer) decision(
	ctx context.Context, level slog.Level, message string, r *http.Request, d ratelimit.Decision,
) {
	w.sample(message, d.Rule, func(n int64) {
		attrs := []slog.Attr{
			slog.String("rule", d.Rule), slog.String("reason", string(d.Reason)), slog.Int64("denied", n),
		}
		if d.Limit != (ratelimit.Limit{}) {
			attrs = append(attrs, slog.String("limit", d.Limit.String()))
		}
		if r != nil {
			attrs = append(attrs, route(r), slog.String("method", method(r)))
		}
		w.log(ctx, level, message, d.Key, append(attrs, slog.Duration("retry_after", d.RetryAfter)))
	})
}

func (w *writer) blocked(ctx context.Context, b ratelimit.Blocked) {
	const message = "clients blocked"
	w.sample(message, b.Rule, func(n int64) {
		w.log(ctx, slog.LevelWarn, message, b.Key, []slog.Attr{
			slog.String("rule", b.Rule), slog.Int64("blocked", n),
			slog.Time("until", b.Until), slog.Int("times", b.Times),
		})
	})
}

func (w *writer) log(
	ctx context.Context, level slog.Level, message string, k ratelimit.Key, attrs []slog.Attr,
) {
	if w.cfg.Keys {
		attrs = append(attrs, slog.String("key", w.limiter.Label(k)))
	}
	group := slog.Attr{Key: "ratelimit", Value: slog.GroupValue(attrs...)}
	cmp.Or(w.cfg.Logger, slog.Default()).LogAttrs(ctx, level, message, group)
}

// maxPath is how many bytes of a path are logged.
const maxPath = 100

// route returns the pattern that a [http.ServeMux] in front of the limiter has matched. If the
// limiter is around the mux, nothing has matched yet, and route returns the path: escaped, because
// the client chose it, and cut.
func route(r *http.Request) slog.Attr {
	if r.Pattern != "" {
		return slog.String("route", r.Pattern)
	}
	path := r.URL.EscapedPath()
	if len(path) > maxPath {
		path = path[:maxPath] + "..."
	}
	return slog.String("path", path)
}

// method returns the method of r. A client can invent others, of any length.
func method(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return r.Method
	}
	return "other"
}
