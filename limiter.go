package ratelimit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ratelimit-go/ratelimit/clientip"
	"github.com/ratelimit-go/ratelimit/internal/blocks"
	"github.com/ratelimit-go/ratelimit/internal/guard"
	"github.com/ratelimit-go/ratelimit/internal/inflight"
	"github.com/ratelimit-go/ratelimit/internal/report"
	"github.com/ratelimit-go/ratelimit/store"
)

// A Limiter enforces rules on HTTP requests, and on whatever calls Take. Create one with [New]. It
// is safe for concurrent use, starts no goroutine and does not need to be closed.
type Limiter struct {
	cfg      Config
	memory   *MemoryStore        // the store, if it is one: it cannot fail
	guard    *guard.Guard        // calls the store, if it is another
	local    func() *MemoryStore // decides while the store fails, with UseMemory
	reporter *report.Reporter
	table    atomic.Pointer[table]
	calls    sync.Pool // of *call
	inFlight *inflight.Counter
	leases   *inflight.Leases // of inFlight; nil if the store has none
	known    *blocks.Known

	failedOpen, failedClosed, failedToMemory atomic.Int64 // decisions

	changing sync.Mutex // of all below, table, and the sets of decorators
	source   source
	shared   map[string]*counters // by name of rule
}

// ErrNoRule means that a limiter has no rule or budget of that name.
var ErrNoRule = errors.New("no such rule")

func noRule(name string) error { return fmt.Errorf("ratelimit: %w: %q", ErrNoRule, name) }

// New returns a Limiter for cfg. If cfg is invalid, the error joins a [*ConfigError] for every
// mistake.
func New(cfg Config) (*Limiter, error) {
	l := &Limiter{
		cfg: cfg, shared: map[string]*counters{},
		reporter: report.New("ratelimit", "rate limiter", cfg.Hooks.Error),
		inFlight: inflight.NewCounter(),
	}
	l.local = sync.OnceValue(func() *MemoryStore { return NewMemoryStore(MemoryConfig{Clock: cfg.Clock}) })
	var m mistakes
	cfg.check(&m)
	policy := Policy{
		Rules: cfg.Rules, Routes: cfg.Routes, ExemptRoutes: cfg.ExemptRoutes, Exempt: cfg.Exempt, Budgets: cfg.Budgets,
	}
	m = append(m, unjoin(l.SetPolicy(policy))...)
	if len(m) > 0 {
		return nil, errors.Join(m...)
	}
	clock := l.monotonic()
	switch s := cfg.Store.(type) {
	case nil:
		l.memory = NewMemoryStore(MemoryConfig{Clock: cfg.Clock})
	case *MemoryStore:
		l.memory = s
	default:
		l.guard = guard.New(s, guard.Config{
			Timeout: cmp.Or(cfg.StoreTimeout, defaultStoreTimeout), Clock: clock, OnState: l.storeState,
		})
	}
	l.leases = l.leasesOf()
	l.known = blocks.NewKnown(blocks.MaxKnown, cfg.Store != nil, clock)
	return l, nil
}

// ClientIP returns how l finds the address of a client: Config.ClientIP.
func (l *Limiter) ClientIP() clientip.Source { return l.cfg.ClientIP }

// monotonic returns Config.Clock as times since now, or nil if there is none.
func (l *Limiter) monotonic() func() time.Duration {
	if l.cfg.Clock == nil {
		return nil
	}
	start := l.cfg.Clock()
	return func() time.Duration { return l.cfg.Clock().Sub(start) }
}

// Take takes cost tokens from the buckets of key under the named rule or budget, all of them or
// none, and returns the decision. It ignores the parts of a rule that need a request: Key, Cost,
// Skip and InFlight. It never waits, even if the rule has a MaxWait: see [Limiter.Wait].
//
// A rule that is [Off] allows everything. A rule in [DryRun] takes the tokens that are there and
// allows everything too. Its Reason and RetryAfter then tell what the rule would have done.
//
// The error is a misuse: there is no such rule ([ErrNoRule]), or key or cost is not valid
// ([store.ErrInvalidOp]). If the store failed, OnStoreFailure has decided, and StoreErr of the
// Decision says so.
func (l *Limiter) Take(ctx context.Context, rule string, key Key, cost int64) (d Decision, err error) {
	err = l.one(ctx, store.Take, rule, key, cost, &d)
	return d, err
}

// Peek returns the decision that Take would return for one token if the rule were enforced, whatever
// its mode. It takes no token. Its errors are those of [Limiter.Take].
func (l *Limiter) Peek(ctx context.Context, rule string, key Key) (d Decision, err error) {
	err = l.one(ctx, store.Peek, rule, key, 1, &d)
	return d, err
}

// Refund puts cost tokens back into the buckets of key under the named rule. A bucket never holds
// more than its burst. The errors are those of [Limiter.Take], and a [*store.Error] if the store
// failed.
func (l *Limiter) Refund(ctx context.Context, rule string, key Key, cost int64) error {
	_, err := l.applyOne(ctx, Change{store.Refund, rule, key, cost})
	return err
}

// Reset makes the buckets of key under the named rule full, including buckets of limits that
// LimitsFor has chosen. It also does what [Limiter.Unblock] does. Its errors are those of
// [Limiter.Refund].
func (l *Limiter) Reset(ctx context.Context, rule string, key Key) error {
	_, err := l.applyOne(ctx, Change{store.Reset, rule, key, 0})
	return err
}
