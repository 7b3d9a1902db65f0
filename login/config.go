package login

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/clientip"
)

const (
	day  = 24 * time.Hour
	year = 365 * day
)

// Config is what [New] makes a [Guard] of. Account must be set. The zero value of every other field
// is the ordinary case. The functions must be safe for concurrent use. If one of them panics, the
// limiter tells Hooks.Error.
type Config struct {
	_ [0]func()

	// Name begins the names of the rules: NAME-account, NAME-address, NAME-pair, NAME-total and
	// NAME-known. Empty means "login". Guards of one limiter need different names.
	Name string
	// Account returns the account that the client tries to use, as the client typed it. See
	// [FormField] and [JSONField]. Letter case and surrounding space do not count. If it returns "",
	// or panics, the attempt counts as one at a further account, which all such attempts share. So
	// hiding the account does not evade the limits. Their successes clear and remember nothing.
	Account func(r *http.Request) string
	// ClientIP says how the address of the client is found. The zero value means ClientIP of the
	// limiter's Config.
	ClientIP clientip.Source
	// Failed reports whether a response answers a failed attempt. Nil means status 401 or 403.
	Failed func(ratelimit.Response) bool
	// Succeeded reports whether a response that is no failure answers a successful attempt. Nil means
	// a status below 400. If your handler answers failures with a redirect or with status 200, set
	// Failed and Succeeded. Succeeded is not called if the client has left. A response that is
	// neither, such as to an empty form, counts nowhere.
	Succeeded func(ratelimit.Response) bool

	// PerPair, PerAccount, PerAddress and Total are the limits on failures. Empty means "5 per 15
	// minutes", "20 per hour", "50 per hour" and "600 per 10 minutes". Clients can use a whole burst
	// at once. If checking a password is slow, choose a Total with a smaller burst, such as "600 per
	// 10 minutes burst 50".
	PerPair, PerAccount, PerAddress, Total ratelimit.Limits
	// Block blocks pairs that keep failing, or keep asking while they are denied. Nil means a block of
	// 15 minutes after 10 such attempts within an hour, twice as long each time, up to a day.
	Block *ratelimit.Block
	// Remember is how long a pair is known after a success, a year at most. Zero means 30 days.
	Remember time.Duration
	// OnStoreFailure applies to all rules. Empty means OnStoreFailure of the limiter's Config. While
	// the Store fails, FailOpen lets attackers guess passwords, and FailClosed lets no user log in.
	OnStoreFailure ratelimit.FailurePolicy
	// Mode is the mode of all rules. Empty means [ratelimit.Enforce].
	Mode ratelimit.Mode
}

// filled returns c with the defaults, and the mistakes that the rules do not have too.
func (c Config) filled() (*Config, []error) {
	var mistakes []error
	if c.Account == nil {
		mistakes = append(mistakes, mistake("Account", errors.New(`nil: want a function, such as FormField("email")`)))
	}
	for _, err := range unjoin(c.ClientIP.Err()) {
		mistakes = append(mistakes, mistake("ClientIP", err))
	}
	if c.Remember < 0 || c.Remember > year {
		mistakes = append(mistakes, mistake("Remember", fmt.Errorf("%v: want at most a year, or 0 for 30 days", c.Remember)))
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
	block := ratelimit.Block{After: ratelimit.Limit{Count: 10, Period: time.Hour}, For: 15 * time.Minute, Max: day, When: c.Failed}
	if c.Block != nil {
		block = *c.Block
	}
	c.Block = &block
	c.PerPair = limits(c.PerPair, "5 per 15 minutes")
	c.PerAccount = limits(c.PerAccount, "20 per hour")
	c.PerAddress = limits(c.PerAddress, "50 per hour")
	c.Total = limits(c.Total, "600 per 10 minutes")
	return &c, mistakes
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

// everybody returns the key of the rule NAME-total.
func (c *Config) everybody() ratelimit.Key { return ratelimit.ValueKey("global", c.Name) }

func mistake(field string, err error) error {
	return &ratelimit.ConfigError{Field: "login." + field, Err: err}
}

// limitsOf has the field of Config that each rule of a Guard has its Limits from.
var limitsOf = [...]string{"Remember", "PerPair", "PerAccount", "PerAddress", "Total"}

// ofFields returns the mistakes that a limiter has found in the rules of a Guard, as mistakes in a
// Config. It returns the first mistake of each field, because all rules share Name and Mode.
func ofFields(err error) []error {
	var mistakes []error
	seen := map[string]bool{}
	for _, err := range unjoin(err) {
		var m *ratelimit.ConfigError
		if errors.As(err, &m) {
			field := fieldOf(m.Field)
			if seen[field] {
				continue
			}
			seen[field] = true
			err = mistake(field, m.Err)
		}
		mistakes = append(mistakes, err)
	}
	return mistakes
}

// fieldOf returns the field of Config for a field of a rule, such as "With[1].Limits".
func fieldOf(field string) string {
	place, field, _ := strings.Cut(field, "].")
	_, index, _ := strings.Cut(place, "[")
	if i, err := strconv.Atoi(index); err == nil && field == "Limits" && i < len(limitsOf) {
		return limitsOf[i]
	}
	return field
}

// unjoin returns the errors that err joins. It returns none for nil.
func unjoin(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}
