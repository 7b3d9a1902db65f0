package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Config is what [New] compiles into a [Limiter]. Its functions, and those of its rules, are called by
// many goroutines at once; if one panics, that is reported to OnError and touches that request only. Denied
// alone is like a handler: its panic is net/http's.
// The zero Config has no rules and admits everything.
type Config struct {
	_ [0]func() // not comparable, and no literals without field names

	// Rules apply to every request, whether any route matches it or not.
	Rules []Rule
	// Routes apply to the requests that match an [http.ServeMux] pattern, the most specific
	// one of these, together with Rules in one decision.
	Routes map[string][]Rule
	// ExemptRoutes are patterns whose requests no rule applies to.
	ExemptRoutes []string
	// Allow, if not nil, is a list of clients to whom no rule applies, and no other list.
	Allow *List
	// Deny, if not nil, is a list of clients who are refused, with status 403, on every
	// route. The Store is not asked.
	Deny *List
	// Exempt, if not nil, reports whether no rule applies to the request.
	Exempt func(r *http.Request) bool

	// Store keeps the buckets. Nil means a new [MemoryStore].
	//
	// Any other Store may fail, so it is not asked for every decision: what it has refused is
	// refused here until the wait is over (but for what a Penalty has to count), and when it has failed five times in a row it is
	// left alone but for a probe now and then (see [ErrStoreDown]). A Credit or Reset
	// through another process is thus not seen here by a client who has been refused, for up
	// to 10 seconds.
	Store Store
	// OnStoreFailure says what happens to a request when the Store fails, unless its rules say
	// it themselves. It must be chosen for every Store but a MemoryStore, which does not fail.
	OnStoreFailure FailurePolicy
	// Instances is how many instances of the service there are, for [UseMemory]: while the
	// Store fails, each enforces this part of every limit by itself, 1 token at least. Zero
	// means 1, so that each enforces the whole limit, and n instances admit n times as much.
	// Where their number changes, the greatest is the strict choice.
	Instances int
	// StoreTimeout is how long a call of the Store may take, 10 µs at least. Zero means 50 ms. A request makes
	// one, and more if a rule for it has a Charge, InFlight or Penalty or only observes it, or if it is
	// behind a [Limiter.Login].
	StoreTimeout time.Duration

	// LeaseTTL is after what time an instance that has died no longer counts for Rule.InFlight, if
	// the Store is a [Leaser]: from a second to an hour. Zero means 30 seconds. What is in flight
	// for longer asks the Store every third of it.
	LeaseTTL time.Duration

	// NoContext passes an admitted request on as it is, and not as a copy whose context has the
	// decision. That saves 400 bytes and a third of the time a request takes here, for handlers that do
	// not ask, as those of a reverse proxy. [DecisionFrom] and [SetCost] then know only what was decided
	// and taken further out, if anything, and nothing of what was here. If a decorator, another limiter or a
	// [Shedder] further in refuses the request, what was taken here stays taken. A request is copied
	// nevertheless if a rule with Charge, MaxWait, InFlight or Penalty applies to it, or a rule that
	// only observes it.
	NoContext bool

	// Headers is the form of the response fields. The zero value is the newest draft.
	Headers HeaderForm
	// Denied, if not nil, writes the response to a refused request in the place of the
	// default one. The header fields are set before, with Retry-After where waiting helps. Not
	// every refusal is a 429: see [Decision.Status].
	Denied func(w http.ResponseWriter, r *http.Request, d Decision)
	// OnDenied, if not nil, is called for each refused request, before the response.
	OnDenied func(r *http.Request, d Decision)
	// OnObserved, if not nil, is called for each request that a rule in the mode [Observe] would
	// have refused.
	OnObserved func(r *http.Request, d Decision)
	// OnBlocked, if not nil, is called once for each block that a [Penalty] begins, by the process
	// that begins it.
	OnBlocked func(ctx context.Context, b Block)
	// OnError, if not nil, is called for each error of the Store ([*StoreError]) and of the functions
	// in this Config, and once for each change of the Store's state ([*StoreChange]). It is
	// not called for decisions for which the Store was not asked. Nil logs them with
	// [log/slog]: every change, and one other error every 10 seconds.
	OnError func(ctx context.Context, err error)
}

// Rule is a named policy: how much whom it counts may have, and what happens to what is too much. It
// needs a Name, a Key, and Limits or InFlight; the zero value of every other field is the ordinary
// case.
type Rule struct {
	_ [0]func()

	// Name is the name of the policy in header fields, where -1, -2 and so on is added if there are
	// several limits, and of its buckets in the store: 1 to 64 printable ASCII characters
	// without quotes and backslashes, different for each rule.
	Name string
	// Limits must all admit a request. A limit's buckets are known by its place in Limits, so
	// its numbers may change while what was spent stays spent. A rule with InFlight needs none.
	Limits Limits
	// LimitsFor, if not nil, chooses the limits of a request, by the plan of its user for
	// example. Nil or empty limits mean Limits. They should depend on nothing but the key.
	LimitsFor func(r *http.Request) Limits
	// Key says who is counted.
	Key Keyer
	// Unidentified says what happens to a request that Key finds no identity for.
	Unidentified Unidentified
	// Methods, if not empty, are the only methods the rule applies to. GET stands for HEAD too.
	Methods []string
	// Skip, if not nil, reports whether the rule does not apply to the request.
	Skip func(r *http.Request) bool
	// Cost, if not nil, returns the number of tokens the request costs. Nil means 1. A
	// negative cost is reported as an error and counts as 1.
	Cost func(r *http.Request) int64
	// Charge, if not nil, says what the request has cost, once it is answered: failures only
	// ([ChargeFailures], [ChargeStatus]), successes only, or any number. What Cost says
	// is reserved before and decides whether the request is admitted, so requests in flight
	// count; afterwards what is too much is given back, and what is missing is taken as far
	// as the bucket has it. It is called when the handler has returned or panicked. Header
	// fields of the response, written before, show what was reserved. If Charge panics
	// or is negative, that is reported and the reservation is charged.
	Charge func(Response) int64
	// MaxWait, if not zero, is how long a request may be held, from 1 ms to 1 h, until its tokens are
	// there, in the place of being refused: in the order in which requests come, by all
	// instances together. A request is refused at once if it would have to wait for longer,
	// or beyond the deadline of its context. A wait is for whole tokens: a limit whose token takes longer than
	// MaxWait to come holds nobody. If its client leaves, its tokens are given back, but
	// not if others wait behind it; over HTTP/1, net/http does not notice that before the body of the
	// request has been read. What a Charge, SetCost or a refusal further in gives back is for whoever comes
	// next, who may then go on together with the last of those who wait.
	MaxWait time.Duration
	// MaxWaiting is how many requests may be held by a rule with MaxWait in this process; more are
	// refused. Zero means 100. A rule that [Limiter.Replace] puts in its place counts its own.
	MaxWaiting int
	// InFlight, if not zero, is how many requests of a key may be in flight, at most a million: from
	// before their tokens are taken until the handler has ended, whatever way it ends. Time in
	// MaxWait counts; a connection that the handler has taken over does not, once it has
	// returned. Put [http.TimeoutHandler] around the limiter and not inside, where it returns while
	// the work goes on. What is too much is refused at no cost: with status 503 if Key counts
	// everybody together ([Constant], [ByPattern], a [Combine] of these), with 429 otherwise, and
	// with a RetryAfter between a second and a minute that is estimated from how long requests
	// took of late. If the Store is a [Leaser] all instances count together. While it fails, or if it
	// is not, each process counts for itself: [FailOpen] admits InFlight in each, [UseMemory] the
	// part that Config.Instances says, and [FailClosed] none.
	InFlight int
	// OnStoreFailure says what happens to the rule when the Store fails. Zero means what
	// Config.OnStoreFailure says. Of the rules for one request, those with [FailClosed] refuse it
	// whatever the others say; otherwise those with [UseMemory] decide, all or none, and
	// those with [FailOpen] do not apply.
	OnStoreFailure FailurePolicy
	// Penalty, if not nil, blocks keys that offend again and again.
	Penalty *Penalty
	// Mode is whether the rule refuses requests. The zero value does; [Limiter.SetMode] changes it.
	Mode Mode
	// Hidden keeps the rule out of header fields and bodies, so that nobody can see from
	// them how busy somebody else is.
	Hidden bool
}

// Unidentified is what a [Rule] does with a request without identity.
type Unidentified uint8

const (
	// ShareUnidentified counts all such requests in one bucket of the rule.
	ShareUnidentified Unidentified = iota
	// RefuseUnidentified refuses them, with status 403.
	RefuseUnidentified
	// SkipUnidentified does not apply the rule to them.
	SkipUnidentified
)

// ConfigError is one mistake in a [Config]. [New] returns all of them, joined by [errors.Join].
type ConfigError struct {
	Field string // where, such as `Rules[0].Limits`
	Err   error  // what is wrong and what would be right
}

// Error returns the field and what is wrong with it.
func (e *ConfigError) Error() string { return "ratelimit: " + e.Field + ": " + e.Err.Error() }

// Unwrap returns e.Err.
func (e *ConfigError) Unwrap() error { return e.Err }

// mistakes collects ConfigErrors.
type mistakes []error

func (m *mistakes) add(field string, err error) {
	*m = append(*m, &ConfigError{Field: field, Err: err})
}

func (m *mistakes) addf(field, format string, args ...any) {
	m.add(field, fmt.Errorf(format, args...))
}

func (c *Config) check(m *mistakes) {
	store, memory := c.Store.(*MemoryStore)
	if memory && store == nil {
		m.add("Store", errors.New("a nil *MemoryStore: want NewMemoryStore, or no Store at all"))
	} else if memory && store.shards == nil {
		m.add("Store", errors.New("a MemoryStore that NewMemoryStore has not made: want NewMemoryStore"))
	}
	switch {
	case c.OnStoreFailure > UseMemory:
		m.addf("OnStoreFailure", "unknown policy %d: want FailOpen, FailClosed or UseMemory", c.OnStoreFailure)
	case c.OnStoreFailure == 0 && c.Store != nil && !memory:
		m.add("OnStoreFailure", errors.New("say what happens when the Store fails: FailOpen, FailClosed or UseMemory"))
	}
	if c.Instances < 0 || c.Instances > maxInstances {
		m.addf("Instances", "%d: want 1 to %d, or 0 for 1", c.Instances, maxInstances)
	}
	if c.StoreTimeout != 0 && c.StoreTimeout < minStoreTimeout {
		m.addf("StoreTimeout", "%v: want at least %v, or 0 for %v", c.StoreTimeout, minStoreTimeout, defaultStoreTimeout)
	}
	if c.LeaseTTL != 0 && (c.LeaseTTL < minLeaseTTL || c.LeaseTTL > maxLeaseTTL) {
		m.addf("LeaseTTL", "%v: want %v to %v, or 0 for %v", c.LeaseTTL, minLeaseTTL, maxLeaseTTL, defaultLeaseTTL)
	}
	c.Allow.check(m, "Allow")
	c.Deny.check(m, "Deny")
	if c.Headers > NoHeaders {
		m.addf("Headers", "unknown form %d", c.Headers)
	}
}

// checkReplacement is check for Replace.
func (c *Config) checkReplacement(m *mistakes) {
	for _, field := range []struct {
		name string
		set  bool
	}{
		{"Allow", c.Allow != nil},
		{"Deny", c.Deny != nil},
		{"Store", c.Store != nil},
		{"OnStoreFailure", c.OnStoreFailure != 0},
		{"Instances", c.Instances != 0},
		{"StoreTimeout", c.StoreTimeout != 0},
		{"LeaseTTL", c.LeaseTTL != 0},
		{"NoContext", c.NoContext},
		{"Headers", c.Headers != 0},
		{"Denied", c.Denied != nil},
		{"OnDenied", c.OnDenied != nil},
		{"OnObserved", c.OnObserved != nil},
		{"OnBlocked", c.OnBlocked != nil},
		{"OnError", c.OnError != nil},
	} {
		if field.set {
			m.add(field.name, errors.New("cannot be replaced: want only Rules, Routes, ExemptRoutes and Exempt"))
		}
	}
}

func (r *Rule) check(m *mistakes, field string) {
	if !validName(r.Name) {
		m.addf(field+".Name", "%q: want 1 to 64 printable ASCII characters without quotes and backslashes", r.Name)
	}
	if len(r.Limits) > 0 || r.InFlight <= 0 {
		if err := r.Limits.check(); err != nil {
			m.add(field+".Limits", err)
		}
	}
	if r.InFlight < 0 || r.InFlight > maxInFlight {
		m.addf(field+".InFlight", "%d: want 1 to %d, or 0 for any number", r.InFlight, maxInFlight)
	}
	for _, err := range checkKeyer(r.Key) {
		m.add(field+".Key", err)
	}
	if r.Unidentified > SkipUnidentified {
		m.addf(field+".Unidentified", "unknown choice %d", r.Unidentified)
	}
	if r.MaxWait != 0 && (r.MaxWait < minMaxWait || r.MaxWait > maxMaxWait) {
		m.addf(field+".MaxWait", "%v: want %v to %v, or 0 to refuse at once", r.MaxWait, minMaxWait, maxMaxWait)
	} else if err := r.Limits.checkWait(r.MaxWait); err != nil && r.LimitsFor == nil {
		m.add(field+".MaxWait", err)
	}
	if r.MaxWaiting < 0 {
		m.addf(field+".MaxWaiting", "%d: want a positive number, or 0 for %d", r.MaxWaiting, defaultMaxWaiting)
	} else if r.MaxWaiting > 0 && r.MaxWait == 0 {
		m.addf(field+".MaxWaiting", "%d without MaxWait, so that no request is held: want MaxWait too", r.MaxWaiting)
	}
	if r.OnStoreFailure > UseMemory {
		m.addf(field+".OnStoreFailure", "unknown policy %d: want FailOpen, FailClosed or UseMemory, or 0 for that of the Config", r.OnStoreFailure)
	}
	if r.Penalty != nil {
		r.Penalty.check(m, field+".Penalty")
	}
	if !r.Mode.valid() {
		m.addf(field+".Mode", "unknown mode %d: want Enforce, Observe, Off or EnforcePercent", r.Mode)
	}
	for _, method := range r.Methods {
		if !isToken(method) {
			m.addf(field+".Methods", "%q: want a method such as POST", method)
		} else if wrongCase(method) {
			m.addf(field+".Methods", "%q matches no request: want %s", method, strings.ToUpper(method))
		}
	}
}

// wrongCase reports whether method is a common one but for its case, which counts in HTTP.
func wrongCase(method string) bool {
	switch upper := strings.ToUpper(method); upper {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE":
		return method != upper
	}
	return false
}

func (ls Limits) check() error {
	switch {
	case len(ls) == 0:
		return errors.New(`no limits: want for example MustParse("100 per minute")`)
	case len(ls) > maxLimits:
		return fmt.Errorf("%d limits: want at most %d", len(ls), maxLimits)
	case len(ls) > 1 && slices.Contains(ls, Unlimited()):
		return errors.New("unlimited beside other limits: want it alone")
	}
	var errs []error
	for i, l := range ls {
		if err := l.check(); err != nil {
			errs = append(errs, fmt.Errorf("limit %d: %w", i, err))
		}
	}
	return errors.Join(errs...)
}

func validName(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return s != "" && len(s) <= 64
}
