package ratelimit

import (
	"errors"
	"net/http"
)

// A Keyer says who made a request.
//
// Key must be safe for concurrent use. It returns [ErrNoIdentity], or the zero
// Key, for a request that has no such identity: what happens then is the choice
// of the [Rule]. Any other error, and a panic, is reported to the OnError function of the
// [Config] and then treated as no identity. It must not consume the request's body.
type Keyer interface {
	Key(r *http.Request) (Key, error)
}

// KeyFunc is a function as a [Keyer].
type KeyFunc func(r *http.Request) (Key, error)

// Key returns f(r).
func (f KeyFunc) Key(r *http.Request) (Key, error) { return f(r) }

// ErrNoIdentity is returned by a [Keyer] for a request that does not carry the
// identity it looks for.
var ErrNoIdentity = errors.New("ratelimit: the request has no such identity")
