package login

import (
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

// Config is what [New] makes a [Guard] of. Account must be set.
type Config struct {
	_ [0]func()

	// Name begins the names of the rules: NAME-account, NAME-address, NAME-pair, NAME-total and
	// NAME-known. Empty means "login".
	Name string
	// Account returns the account that the client tries to use, as it was typed, such as
	// [FormField] or [JSONField]. Case and surrounding space do not count. All attempts for which it
	// returns "" count as attempts at one more account, so hiding the account does not evade the
	// limits. A success of such an attempt clears nothing and is not remembered.
	Account func(r *http.Request) string
	// ClientIP says how the address of the client is found. The zero value means ClientIP of the
	// limiter's Config.
	ClientIP clientip.Source
	// Failed reports whether a response answers a failed attempt. Nil means status 401 or 403.
	Failed func(ratelimit.Response) bool
	// Succeeded reports whether a response answers a successful attempt. It is not called if the
	// client has left. Nil means a status below 400: if your handler answers a failure with a
	// redirect, set Failed and Succeeded. A response that is neither, such as to an empty form,
	// counts nowhere.
	Succeeded func(ratelimit.Response) bool

	// PerPair, PerAccount, PerAddress and Total are the limits on failures. Empty means "5 per 15
	// minutes", "20 per hour", "50 per hour" and "600 per 10 minutes". A burst is checked at once. If
	// checking a password is slow, choose a Total with a smaller burst.
	PerPair, PerAccount, PerAddress, Total ratelimit.Limits
	// Block is for pairs that keep failing, or keep asking while they are denied. Nil means a block of
	// 15 minutes for every 10 such attempts within an hour, twice as long each time, up to a day.
	Block *ratelimit.Block
	// Remember is how long a pair is known after a success, a year at most. Zero means 30 days.
	Remember time.Duration
	// OnStoreFailure applies to all rules. Empty means the policy of the limiter's Config. With
	// FailOpen, attackers can guess passwords while the Store is down. With FailClosed, no user can
	// log in meanwhile.
	OnStoreFailure ratelimit.FailurePolicy
	// Mode is the mode of all rules.
	Mode ratelimit.Mode
}

// filled returns c with the defaults, or an error that joins all mistakes.
func (c Config) filled() (*Config, error) {
	var errs []error
	mistake := func(field string, err error) {
		errs = append(errs, &ratelimit.ConfigError{Field: "login." + field, Err: err})
	}
	if c.Account == nil {
		mistake("Account", errors.New(`nil: want a function, such as FormField("email")`))
	}
	if err := c.ClientIP.Err(); err != nil {
		mistake("ClientIP", err)
	}
	if c.Remember < 0 || c.Remember > year {
		mistake("Remember", fmt.Errorf("%v: want at most a year, or 0 for 30 days", c.Remember))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if c.Name == "" {
		c.Name = "login"
	}
	if c.Remember == 0 {
		c.Remember = 30 * day
	}
	if c.Failed == nil {
		c.Failed = ratelimit.StatusIn(http.StatusUnauthorized, http.StatusForbidden)
	}
	if c.Succeeded == nil {
		c.Succeeded = func(res ratelimit.Response) bool { return res.Status < 400 && !res.Panicked }
	}
	if c.Block == nil {
		c.Block = &ratelimit.Block{After: ratelimit.PerHour(10), For: 15 * time.Minute, Max: day, When: c.Failed}
	}
	c.PerPair = limits(c.PerPair, "5 per 15 minutes")
	c.PerAccount = limits(c.PerAccount, "20 per hour")
	c.PerAddress = limits(c.PerAddress, "50 per hour")
	c.Total = limits(c.Total, "600 per 10 minutes")
	return &c, nil
}

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
