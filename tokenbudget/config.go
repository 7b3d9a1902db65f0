package tokenbudget

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"

	"golang.org/x/time/rate"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/report"
	"github.com/ratelimit-go/ratelimit/internal/respond"
)

// The defaults and bounds of a Config.
const (
	defaultBytesPerToken = 3
	defaultOutput        = 1024
	defaultBody          = 10 << 20
	mostBody             = 1 << 30
	mostBudgets          = 16
	mostLimits           = 16      // of a budget
	mostTokens           = 1 << 31 // of one request or one field of a usage
)

// Overrun says what happens to the tokens that a request used beyond its reservation, if its limits
// have too few left.
type Overrun string

const (
	// Owed means that the next requests of the key pay. A bucket can go below empty, by
	// Budget.MaxDebt at most, and a request is allowed when the debt is paid. The debt is in the
	// Store, so all instances know it, and it is exact.
	Owed Overrun = "owed"
	// Forgiven means that a bucket is empty at worst. The rest of the overrun is free.
	Forgiven Overrun = "forgiven"
)

// Dialect says in whose field names and error bodies the Guard talks to clients.
type Dialect string

const (
	// OpenAI are x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens and
	// x-ratelimit-reset-tokens.
	OpenAI Dialect = "openai"
	// Anthropic are anthropic-ratelimit-tokens-limit, anthropic-ratelimit-tokens-remaining and
	// anthropic-ratelimit-tokens-reset.
	Anthropic Dialect = "anthropic"
)

// Config is what [New] compiles into a [Guard]. Its functions must be safe for concurrent use. If
// one of them panics, OnError is told, and the strictest default counts.
type Config struct {
	_ [0]func()

	// Budgets are the budgets, from 1 to 16.
	Budgets []Budget
	// Limiter configures the limiter that keeps the budgets: Store, OnStoreFailure, Hooks and so
	// on. Its Rules, Routes and Budgets must be empty.
	Limiter ratelimit.Config
	// Overrun says who pays for overruns. Empty means Owed.
	Overrun Overrun

	// BytesPerToken is how many bytes of a request body or of output are taken for one token. Zero
	// means 3.
	BytesPerToken int
	// Prompt, if not nil, returns the tokens of the prompt in a request body, instead of
	// BytesPerToken. It must not change body. A negative number is reported and not used.
	Prompt func(r *http.Request, body []byte) int64
	// Output is how many tokens of output are reserved if a request sets no bound. Zero means 1024.
	Output int64
	// CacheRead is what a token costs that was read from the vendor's cache, such as 0.1. Zero
	// means 1. Negative means that it costs nothing.
	CacheRead float64
	// CacheWrite is what a token costs that was written to the cache, such as 1.25, for Anthropic.
	// Zero means 1. Negative means that it costs nothing.
	CacheWrite float64

	// MaxBody is how long a request body may be, in bytes, up to 1 GiB. It is kept in memory. Zero
	// means 10 MiB. A longer one gets status 413.
	MaxBody int64
	// Skip, if not nil, reports whether a request costs nothing, and nothing else is skipped. Nil
	// skips the methods GET, HEAD and OPTIONS without a body: a handler that does not check the
	// method may read a prompt from it. If Skip panics, the request costs.
	Skip func(r *http.Request) bool
	// Dialect says how the Guard talks to clients. Empty means Anthropic for requests with
	// Anthropic-Version or a path that has "/v1/messages", and OpenAI for others.
	Dialect Dialect

	// Settled, if not nil, is called once for each request that was allowed, when it is charged.
	Settled func(r *http.Request, c Charge)
	// OnError, if not nil, is told of requests and responses that cannot be read, of failures of
	// the Store, and of functions that panic. Nil logs one error every 10 seconds with log/slog.
	OnError func(ctx context.Context, err error)
}

// Budget is how many tokens each key may use.
type Budget struct {
	_ [0]func()

	// Name names the budget in the Store: 1 to 40 printable ASCII characters without quotes and
	// backslashes, different for each budget.
	Name string
	// Limits must all allow a request, such as ratelimit.MustParse("10000 per minute; 1000000 per
	// day"). Their periods must differ.
	Limits ratelimit.Limits
	// Key says by which key to count: a user, an API key, or [ratelimit.Global]. It must not be
	// nil.
	Key ratelimit.Keyer
	// OnMissingKey says what happens to a request that has no key. Empty means
	// [ratelimit.ShareKey]. If Key fails with another error, SkipRule means ShareKey.
	OnMissingKey ratelimit.MissingKey
	// Models are the models to which the budget applies. A "*" at the end stands for any rest.
	// Letter case does not matter. Empty means all models. A request whose model is not known, such
	// as one without a model, with fallbacks or with an advisor, counts for all budgets.
	Models []string
	// MaxDebt is how many tokens a key can owe under each limit, if overruns are owed. More is
	// forgiven. Zero means the burst of the limit. The tokens of a key seem to change if it does.
	MaxDebt int64
}

// filled returns c with its defaults, and all mistakes in it, joined.
func (c Config) filled() (Config, error) {
	var mistakes []error
	add := func(field, format string, args ...any) {
		err := report.Text(fmt.Errorf(format, args...))
		mistakes = append(mistakes, &ratelimit.ConfigError{Field: field, Err: err})
	}
	if n := len(c.Budgets); n < 1 || n > mostBudgets {
		add("Budgets", "%d budgets: want 1 to %d", n, mostBudgets)
	}
	names := map[string]bool{}
	for i := range c.Budgets {
		b := &c.Budgets[i]
		if names[b.Name] {
			add(fmt.Sprintf("Budgets[%d].Name", i), "%q is there twice: want another name", b.Name)
		}
		names[b.Name] = true
		b.check(func(field, format string, args ...any) {
			add(fmt.Sprintf("Budgets[%d].%s", i, field), format, args...)
		})
	}
	if len(c.Limiter.Rules)+len(c.Limiter.Routes)+len(c.Limiter.Budgets) > 0 {
		add("Limiter", "it has Rules, Routes or Budgets: want none, and write them in Budgets")
	}
	c.Overrun = cmp.Or(c.Overrun, Owed)
	if c.Overrun != Owed && c.Overrun != Forgiven {
		add("Overrun", "%q: want %q or %q", c.Overrun, Owed, Forgiven)
	}
	if !slices.Contains([]Dialect{"", OpenAI, Anthropic}, c.Dialect) {
		add("Dialect", "%q: want %q, %q or nothing", c.Dialect, OpenAI, Anthropic)
	}
	c.numbers(add)
	c.Budgets = slices.Clone(c.Budgets)
	return c, report.Join(mistakes...)
}

// numbers fills in and checks the numbers of c.
func (c *Config) numbers(add func(field, format string, args ...any)) {
	if c.BytesPerToken < 0 || c.BytesPerToken > 1000 {
		add("BytesPerToken", "%d: want 1 to 1000, or 0 for %d", c.BytesPerToken, defaultBytesPerToken)
	}
	if c.Output < 0 || c.Output > mostTokens {
		add("Output", "%d: want 1 to %d, or 0 for %d", c.Output, int64(mostTokens), defaultOutput)
	}
	if c.MaxBody < 0 || c.MaxBody > mostBody {
		add("MaxBody", "%d: want 1 to %d, or 0 for %d", c.MaxBody, mostBody, defaultBody)
	}
	weight := func(field string, w *float64) {
		if math.IsNaN(*w) || *w > 100 {
			add(field, "%v: want at most 100, 0 for 1, or a negative number for nothing", *w)
		}
		*w = max(cmp.Or(*w, 1), 0)
	}
	weight("CacheRead", &c.CacheRead)
	weight("CacheWrite", &c.CacheWrite)
	c.BytesPerToken = cmp.Or(c.BytesPerToken, defaultBytesPerToken)
	c.Output = cmp.Or(c.Output, defaultOutput)
	c.MaxBody = cmp.Or(c.MaxBody, defaultBody)
}

// check reports the mistakes in b that the limiter does not find.
func (b *Budget) check(add func(field, format string, args ...any)) {
	switch {
	case b.Name == "" || len(b.Name) > 40:
		add("Name", "%d characters: want 1 to 40", len(b.Name))
	case !respond.ValidName(b.Name):
		add("Name", "%q: want printable ASCII characters without quotes and backslashes", b.Name)
	}
	if b.Key == nil {
		add("Key", "nil: want a Keyer, such as ratelimit.ByUser")
	}
	if n := len(b.Limits); n < 1 || n > mostLimits {
		add("Limits", "%d limits: want 1 to %d", n, mostLimits)
	}
	for i, l := range b.Limits {
		if l.Rate() == rate.Inf {
			add("Limits", "limit %d: unlimited: want a number of tokens, or no such budget", i)
		}
		same := func(other ratelimit.Limit) bool { return other.Period == l.Period }
		if slices.ContainsFunc(b.Limits[:i], same) {
			add("Limits", "two limits per %v: want different periods", l.Period)
		}
	}
	switch b.OnMissingKey {
	case "", ratelimit.ShareKey, ratelimit.DenyRequest, ratelimit.SkipRule:
	default:
		add("OnMissingKey", "%q: want share, deny or skip", b.OnMissingKey)
	}
	if b.MaxDebt < 0 || b.MaxDebt > mostTokens {
		add("MaxDebt", "%d: want 1 to %d, or 0 for the burst of the limit", b.MaxDebt, int64(mostTokens))
	}
}
