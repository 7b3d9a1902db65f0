// Package ratelimit limits the rate of requests to net/http services.
//
//	limiter, err := ratelimit.New(ratelimit.Config{
//		Rules: []ratelimit.Rule{{
//			Name:   "per-client",
//			Limits: ratelimit.MustParse("100 per minute"),
//		}},
//	})
//	...
//	http.ListenAndServe(":8080", limiter.Handler(mux))
//
// A [Limiter] is compiled from a [Config]: rules for every request, rules for routes, and a [Store]
// for their token buckets. Its method Handler wraps a handler. Limit and With decorate single
// handlers. Take decides without HTTP. A [Rule] has a name, one or more limits, and a [Keyer] that
// finds the key to count by: the client's address by default. [Parse] reads limits from text.
//
// All limits of a request are decided in one step: all are charged, or none is. A denied request
// costs nothing. It is answered with status 429, and a Retry-After that suffices for all limits.
//
// No header field is trusted unless Config.ClientIP names the proxies that write it: see package
// clientip. A [Key] has a kind, so the user "192.0.2.1" is never the address 192.0.2.1.
//
// A rule can reserve a Cost and be charged by the response (CountOnly, ResponseCost, [SetCost]),
// hold a burst instead of denying it (MaxWait), bound the requests in flight (InFlight), block keys
// that keep exceeding it ([Block]), and be tried out first ([Mode]). A [List] allows or denies
// clients before any rule. Package login protects a login route. Package shed protects a service
// from the sum of all clients.
//
// A [MemoryStore], the default, counts per process. The stores of the modules redisstore and
// postgresstore count for all instances together. If such a store fails, a [FailurePolicy] decides.
//
// New reports every mistake in a Config, all at once. After that nothing panics on a request:
// errors and panics of functions in a Config are reported to [Hooks], and affect that request only.
// No goroutine of a Limiter outlives a call, and a Limiter does not need to be closed.
package ratelimit

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"sync"

	"github.com/ratelimit-go/ratelimit/clientip"
	"github.com/ratelimit-go/ratelimit/internal/blocks"
	"github.com/ratelimit-go/ratelimit/internal/copied"
	"github.com/ratelimit-go/ratelimit/internal/deploy"
	"github.com/ratelimit-go/ratelimit/internal/guard"
	"github.com/ratelimit-go/ratelimit/internal/inflight"
	"github.com/ratelimit-go/ratelimit/internal/labels"
	"github.com/ratelimit-go/ratelimit/internal/memory"
	"github.com/ratelimit-go/ratelimit/internal/mode"
	"github.com/ratelimit-go/ratelimit/internal/report"
	"github.com/ratelimit-go/ratelimit/internal/turns"
	"github.com/ratelimit-go/ratelimit/internal/verdict"
	"github.com/ratelimit-go/ratelimit/stats"
	"github.com/ratelimit-go/ratelimit/store"
)

// A Limiter enforces rules on HTTP requests, and on callers of Take. Create one with [New]. It is
// safe for concurrent use, leaves no goroutine behind and does not need to be closed.
type Limiter struct {
	engine

	changing  sync.Mutex // of all below, table, hooks, and the sets of decorators
	source    source
	shared    map[string]*counters // by name of rule
	observers []*Hooks
}

// New returns a Limiter for cfg. If cfg is invalid, the error joins a [*ConfigError] for every
// mistake.
func New(cfg Config) (*Limiter, error) {
	l := &Limiter{shared: map[string]*counters{}, source: source{modes: map[string]Mode{}}}
	l.cfg, l.inFlight, l.waiting = &cfg, inflight.NewCounter(), inflight.NewCounter()
	l.turns, l.labels = turns.New(), labels.New(max(cfg.Labels, 0))
	l.reporter = report.New("ratelimit", "rate limiter", cfg.Hooks.Error, l.tellError)
	l.hooks.Store(l.allHooks(nil))
	cfg.Clock = l.reporter.Clock(cfg.Clock)
	l.watch = deploy.New(cfg.ClientIP, l.reporter.Once)
	l.local = sync.OnceValue(func() *MemoryStore { return NewMemoryStore(MemoryConfig{Clock: cfg.Clock}) })
	var m mistakes
	cfg.check(&m)
	policy := Policy{
		Rules: cfg.Rules, Routes: cfg.Routes, Budgets: cfg.Budgets,
		ExemptRoutes: cfg.ExemptRoutes, Exempt: cfg.Exempt,
	}
	use := func(s *source) mistakes { s.policy = policy.clone(); return nil }
	if m = append(m, l.change(use)...); len(m) > 0 {
		return nil, m.err()
	}
	clock := memory.Since(cfg.Clock)
	switch s := cfg.Store.(type) {
	case nil:
		l.memory = NewMemoryStore(MemoryConfig{Clock: cfg.Clock})
	case *MemoryStore:
		l.memory = s
	default:
		l.guard = guard.New(s, guard.Config{Timeout: cfg.StoreTimeout, Clock: clock, OnState: l.storeState})
	}
	l.leases = l.leasesOf()
	l.known = blocks.NewKnown(blocks.MaxKnown, cfg.Store != nil, clock)
	return l, nil
}

// Handler returns a handler that decides on each request by the rules for everything and the rules
// of its route, in one decision, before it calls next. A denied request costs nothing. Its status
// is the [Decision.Status]: usually 429, or 503 or 403.
//
// The handler passes the ResponseWriter on as it is, unless a rule of the request depends on the
// response (CountOnly, ResponseCost, or the When of a Block). Then next gets a ResponseWriter that
// counts what is written and has the abilities of net/http's own, except [http.CloseNotifier]. An
// [http.MaxBytesReader] cannot close the connection through it: put [http.MaxBytesHandler] around
// the limiter instead. The same is true of Config.MergeHeaders and Config.SharedCache, and if next
// is an [httputil.ReverseProxy].
func (l *Limiter) Handler(next http.Handler) http.Handler { return l.decorate(&l.none)(next) }

// A handler is what Handler and decorators return. It is a copied.Handler, for adapters.
type handler struct {
	l           *Limiter
	next, given http.Handler // given is next without what respond.Late adds
	rules       *decorator   // without a set, the rules of the table
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t := h.l.table.Load()
	h.l.serve(w, r, h.next, t, t.route(h.rules.set.Load(), r))
}

func (h *handler) Next() http.Handler { return h.given }

// ServeCopy implements [copied.Handler]. What it tells c is true for this table and this set.
func (h *handler) ServeCopy(c copied.Request) {
	t, set, hooks := h.l.table.Load(), h.rules.set.Load(), h.l.hooks.Load()
	use := cmp.Or(set, t.every).use
	shown := use.Shown || t.shows || hooks.Decided != nil || hooks.DryRun != nil
	if w, r := c.Copy(shown, use.Lasts); r != nil {
		h.l.serve(w, r, h.next, t, t.route(set, r))
	}
}

// ClientIP returns how l finds the address of a client: Config.ClientIP.
func (l *Limiter) ClientIP() clientip.Source { return l.cfg.ClientIP }

// Label returns k as text for people. It is the text of [Key.String], unless that has a hash where
// the limiter remembers the text: see Config.Labels.
func (l *Limiter) Label(k Key) string {
	if text, ok := l.labels.Find(k); ok {
		return text
	}
	return k.String()
}

// leasesOf returns how the permits of all instances are counted, or nil if the store cannot do it.
func (e *engine) leasesOf() *inflight.Leases {
	if e.guard == nil || !e.guard.CanLease() {
		return nil
	}
	ttl := cmp.Or(e.cfg.LeaseTTL, inflight.DefaultTTL)
	return &inflight.Leases{Store: e.guard, TTL: ttl, Report: e.reporter.Report}
}

// Observe adds h to the Hooks of the Config, until stop is called. It is for pages and exporters
// that are made after the Limiter. A nil function of h logs nothing.
func (l *Limiter) Observe(h Hooks) (stop func()) {
	set := func(edit func(all []*Hooks) []*Hooks) {
		l.changing.Lock()
		defer l.changing.Unlock()
		l.observers = edit(slices.Clone(l.observers))
		l.hooks.Store(l.allHooks(l.observers))
	}
	set(func(all []*Hooks) []*Hooks { return append(all, &h) })
	return func() {
		set(func(all []*Hooks) []*Hooks {
			return slices.DeleteFunc(all, func(o *Hooks) bool { return o == &h })
		})
	}
}

// Stats returns the counters of l in this process.
func (l *Limiter) Stats() stats.Snapshot {
	s := stats.Snapshot{Denied: l.unruled.Denied(), NearShare: verdict.NearShare(l.cfg.NearLimit)}
	s.Store.State = store.Up
	if l.memory != nil {
		l.memory.tables.Count()
		s.Memory = l.memory.tables.Stats()
	}
	if l.guard != nil {
		s.Store = l.guard.Stats()
		s.Store.FailedOpen, s.Store.FailedClosed = l.failedOpen.Load(), l.failedClosed.Load()
		s.Store.FailedToMemory = l.failedToMemory.Load()
		if s.Store.FailedToMemory > 0 {
			s.Memory = l.local().tables.Stats()
		}
	}
	t, inFlight, waiting := l.table.Load(), l.inFlight.ByRule(), l.waiting.ByRule()
	for _, name := range slices.Sorted(maps.Keys(t.byName.All())) {
		r := t.byName.Find(name)
		rs := stats.Rule{
			Name: name, Limits: r.Limits.String(), Mode: mode.Shown(string(r.Mode), t.off),
			InFlight: inFlight[name], MaxInFlight: int64(r.InFlight), CanBlock: r.block != nil,
			Waiting: waiting[name] / 2, // two for each request that waits
		}
		r.tally.Fill(&rs)
		s.Rules = append(s.Rules, rs)
	}
	return s
}
