package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/report"
	"github.com/ratelimit-go/ratelimit/login"
)

// Bounds of a Config.
const (
	maxTitle       = 80
	maxStreams     = 1000
	defaultStreams = 100
)

// Config is the configuration of a [Page]. Authorize is required. All functions must be safe for
// concurrent use. If one of them panics, the page denies the request and shows the panic among its
// events.
type Config struct {
	_ [0]func()

	// Authorize reports whether the sender of r may see the page. The page authenticates no user by
	// itself: it shows keys of clients, so Authorize must ask what your service knows, such as the
	// session. If Authorize returns false, the response is an empty 403. While a page is open,
	// Authorize is called again with the first request of its stream every 10 seconds.
	Authorize func(r *http.Request) bool
	// Title is the heading of the page, such as the name of the service and of the instance, at
	// most 80 bytes. Empty means "Limits".
	Title string

	// MayAct reports whether the sender of r may change something. Nil means that the page is
	// read-only: it shows no action and denies each with 403.
	MayAct func(r *http.Request) bool
	// Who returns the name of the user who sent r, for Audit. It is required with MayAct. If it
	// returns "", the page denies the action.
	Who func(r *http.Request) string
	// Audit is called after each action, whether it has failed or not. Its context has the values
	// of the request and does not end with it, so that a user who leaves is recorded too. Nil logs
	// the action with [log/slog].
	Audit func(ctx context.Context, a Action)

	// Logins are the guards of logins, by the names that the page shows. With them, the page shows
	// what a login knows of an account, and a user who may act can unlock the account.
	Logins map[string]*login.Guard
	// MaxStreams is how many pages may be open at the same time, 1,000 at most. More pages show a
	// snapshot that does not move. Zero means 100.
	MaxStreams int
}

// An Action is a change that a user has made on the page.
type Action struct {
	// At is when the action was done.
	At time.Time
	// Who is the user, as Config.Who has named them.
	Who string
	// Kind is "unblock", "reset", "block", "mode" or "unlock".
	Kind string
	// Rule is the rule of the action. It is empty for "unlock", and for an "unblock" or a "reset"
	// under every rule.
	Rule string
	// Key is the key of an "unblock", a "reset" or a "block".
	Key ratelimit.Key
	// For is how long a "block" lasts.
	For time.Duration
	// Mode is the new mode of Rule for a "mode". Empty means the mode that the rule itself has.
	Mode ratelimit.Mode
	// Guard is the name of the guard in Config.Logins and Account the account, for an "unlock".
	Guard, Account string
	// Addr is the client address of the account's owner, for an "unlock". If the user has typed
	// none, it is the zero Addr.
	Addr netip.Addr
	// Err is why the action has failed, in part or in full. It is nil if it has succeeded.
	Err error
}

// check returns all mistakes, joined.
func (c *Config) check(limiter *ratelimit.Limiter) error {
	var mistakes []error
	add := func(field, format string, args ...any) {
		mistakes = append(mistakes, &ratelimit.ConfigError{
			Field: "dashboard." + field, Err: report.Text(fmt.Errorf(format, args...)),
		})
	}
	if limiter == nil {
		mistakes = append(mistakes, errors.New("dashboard: no limiter: want a limiter of ratelimit.New"))
	}
	if c.Authorize == nil {
		add("Authorize", "no function: want a function that reports whether a request may see the page, "+
			"because the page authenticates no user by itself")
	}
	if len(c.Title) > maxTitle {
		add("Title", "%d bytes: want at most %d", len(c.Title), maxTitle)
	}
	if c.MayAct != nil && c.Who == nil {
		add("Who", "no function: want a function that names the user, because MayAct allows actions")
	}
	if c.MayAct == nil && (c.Who != nil || c.Audit != nil) {
		add("MayAct", "no function: want a function that reports who may act, or neither Who nor Audit")
	}
	for _, name := range c.guards() {
		if c.Logins[name] == nil {
			add(fmt.Sprintf("Logins[%q]", name), "no guard: want a guard of login.New")
		}
	}
	if c.MaxStreams < 0 || c.MaxStreams > maxStreams {
		add("MaxStreams", "%d: want 1 to %d, or 0 for %d", c.MaxStreams, maxStreams, defaultStreams)
	}
	return report.Join(mistakes...)
}

// guards returns the names of the logins, sorted.
func (c *Config) guards() []string {
	var names []string
	for name := range c.Logins {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
