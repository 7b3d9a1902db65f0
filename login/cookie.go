package login

import (
	"net/http"
	"strings"
	"time"

	"github.com/ratelimit-go/ratelimit"
)

// SetsCookie returns a function for [Config.Succeeded] that reports whether a response sets the
// named cookie, such as the cookie of a session. A cookie without a value, that has expired, or
// whose date net/http cannot read, may be deleted, so it proves nothing. If a response sets the
// cookie several times, the last counts. Do not use SetsCookie if the service also gives the cookie
// to clients that are not signed in. It panics if name is no name of a cookie.
func SetsCookie(name string) func(ratelimit.Response) bool {
	if (&http.Cookie{Name: name}).String() == "" {
		panic("login: SetsCookie: want the name of a cookie, such as session")
	}
	return func(res ratelimit.Response) bool {
		set := false
		for _, line := range res.Header["Set-Cookie"] {
			if c, err := http.ParseSetCookie(line); err == nil && c.Name == name {
				set = c.Value != "" && isAlive(c)
			}
		}
		return set
	}
}

// isAlive reports whether a cookie that was set is not deleted. Browsers read dates in more forms
// than net/http does, and servers write them. A date that net/http cannot read may be past.
func isAlive(c *http.Cookie) bool {
	if c.MaxAge != 0 {
		return c.MaxAge > 0
	}
	for _, attribute := range c.Unparsed {
		name, _, _ := strings.Cut(strings.ToLower(attribute), "=")
		if name = strings.TrimSpace(name); name == "expires" || name == "max-age" {
			return false
		}
	}
	return c.Expires.IsZero() || c.Expires.After(time.Now())
}
