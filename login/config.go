package login

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/clientip"
)

const (
	day  = 24 * time.Hour
	year = 365 * day
)

// Config configures a [Guard]. Account must be set. The zero value of every other field is the
// ordinary case. The functions must be safe for concurrent use. If one of them panics, the limiter
// tells Hooks.Error.
type Config struct {
	_ [0]func()

	// Name begins the names of the rules: NAME-account, NAME-address, NAME-pair, NAME-total and
	// NAME-known. Empty means "login". Guards of one limiter need different names.
	Name string
	// Account returns the account that the client tries to use, as the client typed it. See
	// [FormField] and [JSONField]. Letter case and surrounding space do not count. If it returns
	// "", or panics, the attempt counts against one extra account that all such attempts share. So
	// hiding the account does not evade the limits. A success there clears no failures, and makes
	// no pair known.
	Account func(r *http.Request) string
	// ClientIP says how the address of the client is found. The zero value means ClientIP of the
	// limiter's Config.
	ClientIP clientip.Source
	// Failed reports whether a response answers a failed attempt. Nil means status 401 or 403.
	Failed func(ratelimit.Response) bool
	// Succeeded reports whether a response that is no failure answers a successful attempt. Nil
	// means a status below 400. If your handler answers failures with a redirect or with status
	// 200, set Failed and Succeeded. Succeeded is not called if the client has left. A response
	// that is neither, such as to an empty form, counts nowhere.
	Succeeded func(ratelimit.Response) bool

	// PerPair, PerAccount, PerAddress and Total are the limits on failures. Empty means "5 per 15
	// minutes", "20 per hour", "50 per hour" and "600 per 10 minutes". Clients can use a whole
	// burst at once. If checking a password is slow, choose a Total with a smaller burst, such as
	// "600 per 10 minutes burst 50".
	PerPair, PerAccount, PerAddress, Total ratelimit.Limits
	// Block blocks pairs that keep failing, or keep asking while they are denied. Nil means a block
	// of 15 minutes after 10 such attempts within an hour, twice as long each time, up to a day.
	Block *ratelimit.Block
	// Remember is how long a pair is known after a success, a year at most. Zero means 30 days.
	Remember time.Duration
	// OnStoreFailure applies to all rules. Empty means OnStoreFailure of the limiter's Config.
	// While the Store fails, FailOpen lets attackers guess passwords, and FailClosed lets no user
	// log in.
	OnStoreFailure ratelimit.FailurePolicy
	// Mode is the mode of all rules. Empty means [ratelimit.Enforce].
	Mode ratelimit.Mode
}

// filled returns c with the defaults, and the mistakes that its rules would not have.
func (c Config) filled() (*Config, mistakes) {
	var m mistakes
	if c.Account == nil {
		m.add("Account", errors.New(`nil: want a function, such as FormField("email")`))
	}
	for _, err := range unjoin(c.ClientIP.Err()) {
		m.add("ClientIP", err)
	}
	if c.Remember < 0 || c.Remember > year {
		m.add("Remember", fmt.Errorf("%v: want at most a year, or 0 for 30 days", c.Remember))
		c.Remember = 0
	}
	c.Name = cmp.Or(c.Name, "login")
	c.Remember = cmp.Or(c.Remember, 30*day)
	if c.Failed == nil {
		c.Failed = ratelimit.StatusIn(http.StatusUnauthorized, http.StatusForbidden)
	}
	if c.Succeeded == nil {
		c.Succeeded = func(res ratelimit.Response) bool { return res.Status < 400 && !res.Panicked }
	}
	c.Block = c.block()
	c.PerPair = limits(c.PerPair, "5 per 15 minutes")
	c.PerAccount = limits(c.PerAccount, "20 per hour")
	c.PerAddress = limits(c.PerAddress, "50 per hour")
	c.Total = limits(c.Total, "600 per 10 minutes")
	return &c, m
}

// block returns a copy of c.Block, or the default.
func (c *Config) block() *ratelimit.Block {
	if c.Block != nil {
		block := *c.Block
		return &block
	}
	return &ratelimit.Block{
		After: ratelimit.Limit{Count: 10, Period: time.Hour}, For: 15 * time.Minute, Max: day, When: c.Failed,
	}
}

// limits returns a copy of ls, or the default in text.
func limits(ls ratelimit.Limits, text string) ratelimit.Limits {
	if len(ls) > 0 {
		return slices.Clone(ls)
	}
	return ratelimit.MustParse(text)
}

// The names of the rules.
func (c *Config) account() string { return c.Name + "-account" }
func (c *Config) address() string { return c.Name + "-address" }
func (c *Config) pair() string    { return c.Name + "-pair" }
func (c *Config) total() string   { return c.Name + "-total" }
func (c *Config) known() string   { return c.Name + "-known" }
