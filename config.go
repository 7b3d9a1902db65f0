package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"time"

	"github.com/ratelimit-go/ratelimit/clientip"
	"github.com/ratelimit-go/ratelimit/internal/guard"
	"github.com/ratelimit-go/ratelimit/internal/inflight"
	"github.com/ratelimit-go/ratelimit/internal/keyer"
	"github.com/ratelimit-go/ratelimit/internal/report"
	"github.com/ratelimit-go/ratelimit/store"
)

// Config is what [New] compiles into a [Limiter]. The zero Config has no rules and allows
// everything. Its functions, and the functions of its rules, must be safe for concurrent use. If
// one of them panics, only that request is affected, and Hooks.Error is told. DenyHandler is an
// exception: net/http handles its panic, like the panic of any handler.
type Config struct {
	_ [0]func() // not comparable, and no literals without field names

	// Rules apply to every request, whether a route matches it or not.
	Rules []Rule
	// Routes apply to requests that match an [http.ServeMux] pattern. A request meets the most
	// specific pattern of Routes and ExemptRoutes, together with Rules in one decision. If servers
	// read it in other ways, it meets the patterns of these too: see docs/routes.md.
	Routes map[string][]Rule
	// ClientIP says how the address of a client is found. Rules, lists and logins use it unless
	// they say otherwise. The zero value is the peer of the connection, and trusts no header field.
	ClientIP clientip.Source
	// Budgets are limits for [Limiter.Take] and [Limiter.Wait]. They apply to no request.
	Budgets []Budget

	// ExemptRoutes are patterns of requests to which no rule applies, if nothing is doubtful.
	ExemptRoutes []string
	// Exempt, if non-nil, reports whether no rule applies to a request. If servers can read the
	// request in several ways, Exempt must return true for each: see docs/routes.md.
	Exempt func(r *http.Request) bool
	// Allow, if non-nil, lists clients to which no rule and no deny list applies.
	Allow *List
	// Deny, if non-nil, lists clients that get status 403 on every route, without a call of Store.
	Deny *List

	// Headers is the form of the response fields. The zero value means [DraftHeaders].
	Headers Headers
	// MergeHeaders is for inner handlers that send such fields too, such as a proxy of a limited
	// backend: each is sent in one line. An [httputil.ReverseProxy] as next needs no MergeHeaders.
	MergeHeaders bool
	// SharedCache keeps the fields out of responses that a shared cache may store: they would tell
	// one client about another.
	SharedCache bool
	// DenyHandler, if non-nil, writes the response to a denied request instead of the default one.
	// The limiter has set the header fields, with Retry-After where waiting helps. Call
	// [Decision.Status] for the status.
	DenyHandler func(w http.ResponseWriter, r *http.Request, d Decision)
	// Hooks are called when something happens.
	Hooks Hooks
	// Labels is the number of long user names and values whose text [Limiter.Label] remembers: the
	// last ones, and up to as many before them. Their keys hold only a hash. The most is 100,000.
	// Zero means none. Header fields and cookies are secrets, so their text is never remembered.
	Labels int
	// NearLimit is the part of a burst, less than 1. An allowed request that leaves less of its
	// burst counts as near the limit in [Limiter.Stats]. Zero means 0.2.
	NearLimit float64

	// Store keeps the buckets. Nil means a new [MemoryStore]. Any other Store can fail. The limiter
	// then caches its denials until the wait is over, and stops calling it after five failures in a
	// row. See docs/stores.md.
	Store Store
	// OnStoreFailure says what happens to a request when Store fails, unless its rules say it
	// themselves. You must choose it for every Store except a MemoryStore.
	OnStoreFailure FailurePolicy
	// Instances is how many instances the service has, for [UseMemory]: while Store fails, each
	// enforces this part of every limit. Zero means 1: each instance enforces the whole limit. If
	// the number varies, set the largest.
	Instances int
	// StoreTimeout is how long a call of Store may take, 10 µs at least. Zero means 50 ms.
	StoreTimeout time.Duration
	// LeaseTTL is how long the requests in flight of an instance that died still count, from a
	// second to an hour, if Store is a [store.Leaser]. Zero means 30 seconds.
	LeaseTTL time.Duration

	// Clock, if non-nil, returns the time by which the limiter and its own MemoryStore decide, for
	// tests and for replaying logs. Timeouts and waiting take real time.
	Clock func() time.Time
}

// Hooks are functions that a [Limiter] calls. A nil function costs nothing. If a function panics,
// Error is told and the request goes on.
type Hooks struct {
	_ [0]func()

	// Decided is called for each request that a rule or a list decided, before the response. The
	// iterator yields the decision of each rule, except of rules in [DryRun] that would deny the
	// request: DryRun is told of these before. The iterator is valid only during the call.
	Decided func(r *http.Request, d Decision, rules iter.Seq[Decision])
	// Denied is called for each denied request, before the response.
	Denied func(r *http.Request, d Decision)
	// DryRun is called for each request that a rule in the mode [DryRun] would have denied.
	DryRun func(r *http.Request, d Decision)
	// Taken is called for each decision of [Limiter.Take] and [Limiter.Wait], and for each Take of
	// [Limiter.Apply].
	Taken func(ctx context.Context, d Decision)
	// Blocked is called once for each block that [Rule].Block begins, where it begins.
	Blocked func(ctx context.Context, b Blocked)
	// StoreState is called once for each change of the state of Store. Nil logs with [log/slog]
	// that it is down, why and what decides now, and that it is up again.
	StoreState func(ctx context.Context, s store.State)
	// Error is called for each error of Store (a [*store.Error]) and of a function in the Config,
	// once for each sign of a wrong deployment, and once when the store begins to have no room for
	// keys. The error of a panic has a method Stack() []byte, for [errors.As]. Error is not called
	// for decisions without a call of Store. Nil logs one error every 10 seconds, and each sign.
	Error func(ctx context.Context, err error)
}

// Policy is the part of a [Config] that [Limiter.SetPolicy] can replace.
type Policy struct {
	_ [0]func()

	Rules        []Rule                     // see Config.Rules
	Routes       map[string][]Rule          // see Config.Routes
	ExemptRoutes []string                   // see Config.ExemptRoutes
	Exempt       func(r *http.Request) bool // see Config.Exempt
	Budgets      []Budget                   // see Config.Budgets
}

// clone returns a copy of p that shares no slice or map of rules with it.
func (p *Policy) clone() Policy {
	c := Policy{
		Rules: cloneRules(p.Rules), ExemptRoutes: slices.Clone(p.ExemptRoutes), Exempt: p.Exempt,
		Budgets: slices.Clone(p.Budgets), Routes: make(map[string][]Rule, len(p.Routes)),
	}
	for pattern, rules := range p.Routes {
		c.Routes[pattern] = cloneRules(rules)
	}
	for i := range c.Budgets {
		c.Budgets[i].Limits = slices.Clone(c.Budgets[i].Limits)
	}
	return c
}

// cloneRules returns copies that share nothing with rules, because each change compiles them again.
func cloneRules(rules []Rule) []Rule {
	rules = slices.Clone(rules)
	for i := range rules {
		r := &rules[i]
		r.Limits, r.Methods = slices.Clone(r.Limits), slices.Clone(r.Methods)
		if r.Block != nil {
			b := *r.Block
			r.Block = &b
		}
	}
	return rules
}

// Headers is the form in which responses tell clients how they stand with their limits.
type Headers string

const (
	// DraftHeaders are RateLimit-Policy and RateLimit in the form of versions 8 to 11 of
	// draft-ietf-httpapi-ratelimit-headers, with every limit as a member.
	DraftHeaders Headers = "draft-11"
	// Draft7Headers are RateLimit-Policy and RateLimit in the form of version 7 of the draft, for
	// the strictest limit.
	Draft7Headers Headers = "draft-7"
	// Draft6Headers are RateLimit-Limit, RateLimit-Remaining and RateLimit-Reset in the form of
	// versions 3 to 6 of the draft, for the strictest limit. The reset is in seconds from now: when
	// the bucket is full, or with no token left or after a denial, when the client may go on.
	Draft6Headers Headers = "draft-6"
	// LegacyHeaders are X-RateLimit-Limit, X-RateLimit-Remaining and X-RateLimit-Reset, for the
	// strictest limit. The reset is as in Draft6Headers, but in seconds since 1970.
	LegacyHeaders Headers = "legacy"
	// NoHeaders sends none of them. Retry-After is still sent.
	NoHeaders Headers = "none"
)

// FailurePolicy is what a [Limiter] does when its [Store] fails. The zero value is no choice: it is
// a mistake in a [Config] whose Store can fail. In a [Rule] it means the policy of the Config.
type FailurePolicy string

const (
	// FailOpen allows the request.
	FailOpen FailurePolicy = "open"
	// FailClosed denies the request with status 503.
	FailClosed FailurePolicy = "closed"
	// UseMemory decides in the memory of the process. Each instance enforces the part of the limits
	// that Config.Instances says. Buckets there begin full.
	UseMemory FailurePolicy = "memory"
)

const unknownPolicy = "unknown policy %q: want FailOpen, FailClosed or UseMemory"

func (p FailurePolicy) valid() bool {
	return p == "" || p == FailOpen || p == FailClosed || p == UseMemory
}

// ConfigError is one mistake in a [Config]. [New] returns all of them, joined by [errors.Join].
type ConfigError struct {
	Field string // where, such as `Rules[0].Limits`
	Err   error  // what is wrong and what would be right
}

// Error returns the field and what is wrong with it.
func (e *ConfigError) Error() string { return fmt.Sprintf("ratelimit: %s: %v", e.Field, e.Err) }

// Unwrap returns e.Err.
func (e *ConfigError) Unwrap() error { return e.Err }

// mistakes collects ConfigErrors.
type mistakes []error

func (m *mistakes) add(field string, err error) {
	if err != nil {
		*m = append(*m, &ConfigError{field, report.Text(err)})
	}
}

func (m *mistakes) addf(field, format string, args ...any) {
	m.add(field, fmt.Errorf(format, args...))
}

func (m mistakes) err() error { return report.Join(m...) }

const (
	maxInstances = 1_000_000 // bounds Config.Instances
	maxLabels    = 100_000   // bounds Config.Labels
)

// check finds the mistakes outside of the rules.
func (c *Config) check(m *mistakes) {
	memory, isMemory := c.Store.(*MemoryStore)
	if keyer.IsNil(c.Store) {
		m.addf("Store", "a nil %T: want what its constructor returns, or no Store at all", c.Store)
	} else if isMemory && memory.tables == nil {
		m.add("Store", errors.New("a MemoryStore that NewMemoryStore has not made: want NewMemoryStore"))
	}
	switch {
	case !c.OnStoreFailure.valid():
		m.addf("OnStoreFailure", unknownPolicy, c.OnStoreFailure)
	case c.OnStoreFailure == "" && c.Store != nil && !isMemory:
		m.addf("OnStoreFailure", "say what happens when the Store fails: FailOpen, FailClosed or UseMemory")
	}
	if c.Instances < 0 || c.Instances > maxInstances {
		m.addf("Instances", "%d: want 1 to %d, or 0 for 1", c.Instances, maxInstances)
	}
	if !(c.NearLimit >= 0 && c.NearLimit < 1) { // NaN is neither
		m.addf("NearLimit", "%v: want a part of a burst, less than 1, or 0 for 0.2", c.NearLimit)
	}
	if c.Labels < 0 || c.Labels > maxLabels {
		m.addf("Labels", "%d: want 1 to %d, or 0 for none", c.Labels, maxLabels)
	}
	m.add("StoreTimeout", guard.CheckTimeout(c.StoreTimeout))
	m.add("LeaseTTL", inflight.CheckTTL(c.LeaseTTL))
	for _, err := range keyer.Check(keyer.Addr{Source: c.ClientIP}) {
		m.add("ClientIP", err)
	}
	c.Allow.check(m, "Allow")
	c.Deny.check(m, "Deny")
	switch c.Headers {
	case "", DraftHeaders, Draft7Headers, Draft6Headers, LegacyHeaders, NoHeaders:
	default:
		m.addf("Headers", "unknown form %q: want DraftHeaders or another of the constants", c.Headers)
	}
}
