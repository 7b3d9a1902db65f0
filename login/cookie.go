package login

import (
	"net/http"
	"time"

	"github.com/ratelimit-go/ratelimit"
)

// SetsCookie returns a function for [Config.Succeeded] that reports whether a response sets the
// named cookie, such as the cookie of a session. A cookie without a value, or that has expired, is
// deleted, so it proves nothing. If a response sets the cookie several times, the last counts. Do
// not use it if the service also gives the cookie to clients that are not signed in. SetsCookie
// panics if name is no name of a cookie.
func SetsCookie(name string) func(ratelimit.Response) bool {
	if (&http.Cookie{Name: name}).String() == "" {
		panic("login: SetsCookie: want the name of a cookie, such as session")
	}
	return func(res ratelimit.Response) bool {
		set := false
		for _, line := range res.Header["Set-Cookie"] {
			if c, err := http.ParseSetCookie(line); err == nil && c.Name == name {
				alive := c.MaxAge > 0 || c.MaxAge == 0 && (c.Expires.IsZero() || c.Expires.After(time.Now()))
				set = c.Value != "" && alive
			}
		}
		return set
	}
}
