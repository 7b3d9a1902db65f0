package tokenbudget

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/report"
	"github.com/ratelimit-go/ratelimit/internal/routes"
)

// Guard enforces the budgets of a [Config]. Make it with [New]. It is safe for concurrent use,
// leaves no goroutine behind and does not need to be closed.
type Guard struct {
	cfg      Config
	limiter  *ratelimit.Limiter
	budgets  []budget
	now      func() time.Time
	reporter *report.Reporter
}

// budget is a compiled Budget.
type budget struct {
	Budget

	shared ratelimit.Key // of requests without a key
	limits []limit
}

// limit is one limit of a budget. It is a budget of its own in the limiter, so that it has its own
// reservation.
type limit struct {
	name  string
	burst int64
	debt  int64 // how far the bucket can go below empty: its lowest tokens are the debt
}

// New returns a Guard. The error joins a [*ratelimit.ConfigError] for every mistake in cfg.
func New(cfg Config) (*Guard, error) {
	cfg, err := cfg.filled()
	if err != nil {
		return nil, err
	}
	g := &Guard{cfg: cfg, now: cfg.Limiter.Clock}
	g.reporter = report.New("tokenbudget", "token budget", cfg.OnError)
	if g.now == nil {
		g.now = time.Now
	}
	lc := cfg.Limiter
	var of []place // of each budget in lc
	for i, b := range cfg.Budgets {
		c := budget{Budget: b, shared: ratelimit.ValueKey("tokenbudget", "no key")}
		c.Models = slices.Clone(b.Models)
		for j, l := range b.Limits {
			burst := cmp.Or(l.Burst, l.Count)
			k := limit{name: fmt.Sprintf("%s per %v", b.Name, l.Period), burst: burst}
			if cfg.Overrun == Owed {
				k.debt = cmp.Or(b.MaxDebt, burst)
			}
			c.limits = append(c.limits, k)
			l.Burst = burst + k.debt
			lc.Budgets = append(lc.Budgets, ratelimit.Budget{Name: k.name, Limits: ratelimit.Limits{l}})
			of = append(of, place{i, j})
		}
		g.budgets = append(g.budgets, c)
	}
	if g.limiter, err = ratelimit.New(lc); err != nil {
		return nil, translated(err, of)
	}
	return g, nil
}

// Limiter returns the limiter that keeps the budgets, for its statistics and for Limiter.Reset.
// Each limit is a budget there, such as "key per 1m0s", and its burst is longer by the MaxDebt:
// the last tokens of a bucket are a debt. While a budget is off or in a dry run, debts are
// forgiven.
func (g *Guard) Limiter() *ratelimit.Limiter { return g.limiter }

// Handler returns a handler that calls next for requests that the budgets allow. The request body
// is as the client sent it. Accept-Encoding is removed, so that the Guard can read the response.
// The writer has [http.Flusher]. [http.ResponseController] finds other abilities.
func (g *Guard) Handler(next http.Handler) http.Handler {
	if next == nil {
		panic("tokenbudget: Handler: nil: want a handler")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.skips(r) {
			next.ServeHTTP(w, r)
			return
		}
		g.serve(w, r, next)
	})
}

func (g *Guard) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	talk := g.dialect(r)
	body, problem := g.readBody(w, r)
	if problem != nil {
		talk.fail(w, problem, g.now)
		return
	}
	ask := g.read(r, body)
	held, problem := g.reserve(r, ask)
	if problem != nil {
		held.fields(w.Header(), talk, g.now())
		talk.fail(w, problem, g.now)
		return
	}
	inner := r.WithContext(r.Context())
	inner.Header = r.Header.Clone()
	inner.Header.Del("Accept-Encoding")
	inner.Body = newBody(body)
	inner.ContentLength = int64(len(body))
	inner.TransferEncoding = nil
	answer := newAnswer(w, func(h http.Header) { held.fields(h, talk, g.now()) })
	returned := false
	defer func() { g.settle(r, ask, held, answer, returned) }()
	next.ServeHTTP(answer, inner)
	returned = true
}

// skips reports whether r costs nothing.
func (g *Guard) skips(r *http.Request) (skip bool) {
	if g.cfg.Skip == nil {
		safe := slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodOptions}, r.Method)
		return safe && r.ContentLength == 0
	}
	g.reporter.Call(r.Context(), "Skip", func() error { skip = routes.Every(r, g.cfg.Skip); return nil })
	return skip
}
