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

	// Name begins the names of the rules: NAME-pair, NAME-account, NAME-address, NAME-network,
	// NAME-total, NAME-known and NAME-new. Empty means "login". Guards of one limiter need
	// different names.
	Name string
	// Account returns the account that the client tries to use. Letter case and surrounding space
	// do not count. Return what the database compares: if it ignores more, such as accents, remove
	// that too, or call [Found] in the handler. See [FormField] and [JSONField].
	//
	// If Account returns "", or text with an invisible character, such as a NUL or a space of no
	// width, or bytes that are no UTF-8, or if it panics, the attempt counts against one extra
	// account that all such attempts share. So hiding the account does not evade the limits. If
	// such an attempt succeeds and no attempt with an account has, Account is wrong: then only the
	// other limits apply, and Hooks.Error is told.
	Account func(r *http.Request) string
	// ClientIP says how the address of the client is found. The zero value means ClientIP of the
	// limiter's Config.
	ClientIP clientip.Source
	// Succeeded reports whether a response answers a successful attempt. Look for what only a right
	// password gets, such as [SetsCookie]. Nil means that only the handler knows, and calls the
	// function [Succeeded]. Only a success clears failures and makes a pair known. Succeeded is not
	// called if the client has left, or for a request that is no POST, PUT or PATCH and has no
	// Authorization field, or that overrides its method or path. It sees only the header that the
	// handler has sent.
	Succeeded func(ratelimit.Response) bool
	// Failed reports whether a response that is no success counts as a failure. Nil means that each
	// does, so set Failed only for responses that say nothing of a password. A response that the
	// limiter cannot see always counts: the handler wrote none, panicked or hijacked the
	// connection.
	Failed func(ratelimit.Response) bool

	// PerPair, PerAccount, PerAddress, PerNetwork and Total are the limits on failures. Empty means
	// "5 per 15 minutes", "20 per hour", "50 per hour", "200 per hour" and "600 per 10 minutes". A
	// network is a /24 of IPv4 or a /48 of IPv6. So it takes 18 networks to use up the default
	// Total for long. Clients can use a whole burst at once. If checking a password is slow, choose
	// a Total with a smaller burst, such as "600 per 10 minutes burst 50".
	PerPair, PerAccount, PerAddress, PerNetwork, Total ratelimit.Limits
	// NewPairs limits the pairs that the successes of one account can make known. Empty means "20
	// per day". Beyond it a success is not remembered.
	NewPairs ratelimit.Limits
	// Block blocks pairs that keep failing, or keep asking while they are denied. Nil means a block
	// of 15 minutes after 10 such attempts within an hour, twice as long each time, up to a day. A
	// Block with After and without a When counts failures too.
	Block *ratelimit.Block
	// Remember is how long a pair is known after a success, from a second to a year. Zero means 30
	// days.
	Remember time.Duration
	// OnStoreFailure applies to all rules. Empty means OnStoreFailure of the limiter's Config.
	// While the Store fails, FailOpen lets attackers guess passwords, and FailClosed lets no user
	// log in.
	OnStoreFailure ratelimit.FailurePolicy
	// Mode is the mode of all rules. Empty means [ratelimit.Enforce].
	Mode ratelimit.Mode
}

// settings is a Config with the defaults, and what the attempts under it have shown.
type settings struct {
	Config
	watch watch
}

// filled returns c with the defaults, and the mistakes that its rules would not have.
func (c Config) filled() (*settings, mistakes) {
	var m mistakes
	if c.Account == nil {
		m.add("Account", errors.New(`nil: want a function, such as FormField("email")`))
	}
	for _, err := range unjoin(c.ClientIP.Err()) {
		m.add("ClientIP", err)
	}
	if c.Remember != 0 && (c.Remember < time.Second || c.Remember > year) { // a number without a unit is less
		m.add("Remember", fmt.Errorf("%v: want a second to a year, or 0 for 30 days", c.Remember))
		c.Remember = 0
	}
	blocks := c.Block != nil && c.Block.When != nil
	if slices.Equal(c.PerPair, ratelimit.MustParse("unlimited")) && !blocks {
		m.add("PerPair", errors.New("unlimited, so that no limit and no Block stops guesses by a known "+
			"pair: want a limit, or a Block with a When"))
	}
	c.Name = cmp.Or(c.Name, "login")
	c.Remember = cmp.Or(c.Remember, 30*day)
	c.PerPair = limits(c.PerPair, "5 per 15 minutes")
	c.PerAccount = limits(c.PerAccount, "20 per hour")
	c.PerAddress = limits(c.PerAddress, "50 per hour")
	c.PerNetwork = limits(c.PerNetwork, "200 per hour")
	c.Total = limits(c.Total, "600 per 10 minutes")
	c.NewPairs = limits(c.NewPairs, "20 per day")
	cfg := &settings{Config: c}
	cfg.Block = cfg.block()
	return cfg, m
}

// block returns a copy of c.Block, or the default.
func (c *settings) block() *ratelimit.Block {
	block := ratelimit.Block{After: ratelimit.Per(10, time.Hour), For: 15 * time.Minute, Max: day}
	if c.Block != nil {
		block = *c.Block
	}
	if block.When != nil || block.After == (ratelimit.Limit{}) {
		return &block
	}
	block.When = func(res ratelimit.Response) bool {
		// A handler inside may have denied the request, and so refunded it. Then no limit has
		// counted it, and SetCost, which changes nothing here, finds no charge.
		charged := ratelimit.SetCost(res.Request.Context(), c.pair(), 1) == nil
		return charged && attemptOf(res.Request).failed(c, res)
	}
	return &block
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
func (c *Config) network() string { return c.Name + "-network" }
func (c *Config) known() string   { return c.Name + "-known" }
func (c *Config) fresh() string   { return c.Name + "-new" }
