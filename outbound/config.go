package outbound

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/report"
)

// The defaults and bounds of a Config.
const (
	defaultMaxWait  = time.Minute
	defaultMaxPause = 24 * time.Hour
	defaultKeys     = 10_000
	defaultWaiting  = 1000
	defaultRetries  = 2
	mostRetries     = 10
	mostKeys        = 1_000_000
	year            = 365 * 24 * time.Hour
)

// Config is the configuration of a [Transport]. The zero Config has no rules of its own, and obeys
// each host. All functions must be safe for concurrent use.
type Config struct {
	_ [0]func()

	// Base sends the requests. Nil means [http.DefaultTransport].
	Base http.RoundTripper
	// Rules are limits of your own. A request waits for each of them in this order, and then for
	// its server. A request that is sent again takes its tokens again.
	Rules []Rule
	// ShareBy, if not nil, returns the key of a request: requests of one key share what the server
	// says. Use it if a server counts by API key or by route. The key is in errors, so return the
	// hash of a secret. Nil means the scheme and the host. If ShareBy panics, OnError is told and
	// the scheme and the host count.
	ShareBy func(r *http.Request) string

	// MaxWait is how long a call of RoundTrip waits in all, 1 ms to a year. Zero means a minute. If
	// it would wait longer, it returns a *[WaitError] at once. Negative means that it never waits.
	// The time that a server takes to deny the request counts too.
	MaxWait time.Duration
	// MaxPause is the longest wait that a server can ask for, from a second to a year. Zero means
	// 24 hours. A longer wait is cut to MaxPause, and OnError is told. The first request that waits
	// goes on MaxPause and two seconds after the last answer at the latest.
	MaxPause time.Duration
	// MaxWaiting is how many requests of a key wait at most, and how many wait for the tokens of a
	// key under a rule of your own. Zero means 1,000. A request beyond it gets a *[WaitError] at
	// once.
	MaxWaiting int
	// MaxKeys is how many keys the Transport remembers, up to a million. Zero means 10,000. Beyond
	// that the key that was idle longest is forgotten. If a wait holds for each, the key that was
	// used longest ago is forgotten, and OnError is told. If all have requests under way, further
	// keys share one.
	MaxKeys int
	// MaxRetries is how often a request that was denied is sent again, up to 10. Zero means 2.
	// Negative means never.
	MaxRetries int

	// OnError, if not nil, is told of fields that are malformed, of waits that are cut to MaxPause,
	// of keys without room, and of functions that panic. If it is nil, the Transport logs one error
	// every 10 seconds with [log/slog].
	OnError func(ctx context.Context, err error)
}

// Rule is a limit of your own: a budget of a limiter.
type Rule struct {
	_ [0]func()

	// Limiter has the budget. It may be shared by several transports, and by several instances of
	// the service if its Store is.
	Limiter *ratelimit.Limiter
	// Budget is the name of the budget. Requests wait in order if the budget has a MaxWait.
	Budget string
	// Key, if not nil, returns the key whose tokens a request takes. Nil means a key for each
	// scheme and host. If Key panics or returns the zero Key, OnError is told, and the request
	// counts under a key for all such requests.
	Key func(r *http.Request) ratelimit.Key
	// Cost, if not nil, returns how many tokens a request takes. Nil means 1. If Cost panics or
	// returns a negative number, OnError is told, and the request takes 1.
	Cost func(r *http.Request) int64
}

// filled returns c with its defaults, and all mistakes in it, joined.
func (c Config) filled() (Config, error) {
	var mistakes []error
	add := func(format string, args ...any) {
		mistakes = append(mistakes, fmt.Errorf("outbound: "+format, args...))
	}
	if c.MaxWait > year || c.MaxWait > 0 && c.MaxWait < time.Millisecond {
		add("MaxWait: %v: want 1ms to a year, 0 for a minute, or less than 0 for no wait", c.MaxWait)
	}
	if c.MaxPause != 0 && (c.MaxPause < time.Second || c.MaxPause > year) {
		add("MaxPause: %v: want a second to a year, or 0 for 24 hours", c.MaxPause)
	}
	if c.MaxWaiting < 0 {
		add("MaxWaiting: %d: want a positive number, or 0 for %d", c.MaxWaiting, defaultWaiting)
	}
	if c.MaxKeys < 0 || c.MaxKeys > mostKeys {
		add("MaxKeys: %d: want 1 to %d, or 0 for %d", c.MaxKeys, mostKeys, defaultKeys)
	}
	if c.MaxRetries > mostRetries {
		add("MaxRetries: %d: want at most %d, or 0 for %d", c.MaxRetries, mostRetries, defaultRetries)
	}
	for i, rule := range c.Rules {
		if field, err := rule.check(); err != nil {
			add("Rules[%d].%s: %w", i, field, err)
		}
	}
	if c.Base == nil {
		c.Base = http.DefaultTransport
	}
	c.Rules = slices.Clone(c.Rules)
	c.MaxWait = max(cmp.Or(c.MaxWait, defaultMaxWait), 0)
	c.MaxPause = cmp.Or(c.MaxPause, defaultMaxPause)
	c.MaxWaiting = cmp.Or(c.MaxWaiting, defaultWaiting)
	c.MaxKeys = cmp.Or(c.MaxKeys, defaultKeys)
	c.MaxRetries = max(cmp.Or(c.MaxRetries, defaultRetries), 0)
	return c, report.Join(mistakes...)
}

// check returns a mistake in r, and the field that has it.
func (r *Rule) check() (field string, err error) {
	if r.Limiter == nil {
		return "Limiter", errors.New("nil: want a limiter with the budget")
	}
	_, err = r.Limiter.Peek(context.Background(), r.Budget, ratelimit.ValueKey("outbound", "check"))
	if err != nil {
		return "Budget", fmt.Errorf("%q: want the name of a budget: %w", r.Budget, err)
	}
	return "", nil
}
