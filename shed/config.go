package shed

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/report"
)

const (
	maxInFlight = 1_000_000             // bounds Config.MaxInFlight
	minLatency  = 10 * time.Microsecond // no request is faster, and a number without a unit is less
)

// Config is the configuration of a [Shedder]. MaxInFlight is required. All functions may be called
// concurrently.
type Config struct {
	_ [0]func()

	// MaxInFlight is how many requests may be in flight at most, from 1 to 1,000,000. Choose the
	// number that the service survives. If Priority is set, a tenth of it, rounded up, is kept for
	// Critical requests. A request that never ends keeps its place, so set deadlines.
	MaxInFlight int
	// MinInFlight is the lowest limit that TargetLatency may lead to. Zero means a tenth of
	// MaxInFlight, at least 1.
	MinInFlight int
	// TargetLatency makes the limit adaptive: it is how long 95 % of the requests should take at
	// most, at least 10 µs. Zero means that the limit stays at its maximum. The package comment
	// says how to choose.
	TargetLatency time.Duration
	// Priority, if not nil, returns how important a request is. Nil means that all requests are
	// Normal. If Priority panics, the request is Normal, and OnError receives the panic. Do not
	// rely on anything that clients choose: any client could become Critical.
	Priority func(r *http.Request) Priority
	// Exempt, if not nil, reports whether to pass a request on without counting it. Use it for
	// requests that wait without working, such as WebSockets and server-sent events. Choose them by
	// route and not by header: any client can ask for an upgrade. Exempt must return true for each
	// reading of the request: see docs/routes.md. If Exempt panics, the request is not exempt, and
	// OnError receives the panic.
	Exempt func(r *http.Request) bool

	// DenyHandler, if not nil, writes the response to a denied request instead of the default one.
	// The header has Retry-After and Cache-Control already. The retryAfter is 1, 2 or 3 seconds.
	DenyHandler func(w http.ResponseWriter, r *http.Request, retryAfter time.Duration)
	// OnDenied, if not nil, is called for each denied request, before the response. The Priority is
	// Sheddable, Normal or Critical.
	OnDenied func(r *http.Request, p Priority)
	// OnError, if not nil, is called when Priority, Exempt or OnDenied panics. If it is nil, the
	// Shedder logs one panic every 10 seconds with [log/slog]. A panic of OnError is ignored.
	OnError func(ctx context.Context, err error)
}

// check returns all mistakes, joined.
func (c *Config) check() error {
	var mistakes []error
	add := func(format string, args ...any) {
		mistakes = append(mistakes, fmt.Errorf("shed: "+format, args...))
	}
	if c.MaxInFlight < 1 || c.MaxInFlight > maxInFlight {
		add("MaxInFlight: %d: want 1 to %d", c.MaxInFlight, maxInFlight)
	}
	switch {
	case c.MinInFlight < 0:
		add("MinInFlight: %d: want a positive number, or 0 for a tenth of MaxInFlight", c.MinInFlight)
	case c.MinInFlight > max(c.MaxInFlight, 0):
		add("MinInFlight: %d: want at most MaxInFlight, which is %d", c.MinInFlight, c.MaxInFlight)
	}
	if c.TargetLatency != 0 && c.TargetLatency < minLatency {
		add("TargetLatency: %v: want at least %v, or 0 for a limit that does not adapt",
			c.TargetLatency, minLatency)
	}
	return report.Join(mistakes...)
}

// bounds returns the lowest and the highest limit.
func (c *Config) bounds() (lower, upper int) {
	upper = c.MaxInFlight
	if c.Priority != nil {
		upper = max(upper-(upper+9)/10, 1)
	}
	return min(cmp.Or(c.MinInFlight, max(c.MaxInFlight/10, 1)), upper), upper
}
