package ratelimit

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
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

// A checker is a Keyer that may have been made by mistake. New asks it.
type checker interface{ check() []error }

func checkKeyer(k Keyer) []error {
	switch k := k.(type) {
	case nil:
		return []error{errors.New("no Key: want for example ByRemoteIP()")}
	case KeyFunc:
		if k == nil {
			return []error{errors.New("a nil KeyFunc: want a function")}
		}
	case checker:
		return k.check()
	}
	return nil
}

// ByUser counts by the name or number of a user, which user returns; "" means that the
// request has none. Use it behind authentication, and return what authentication
// established, never what the client merely claims, or one client makes itself a
// thousand users. For a login form, where only a claim exists, add a limit by address.
func ByUser(user func(r *http.Request) string) Keyer {
	return textKeyer{"ByUser", user, UserKey}
}

// ByNamed is [ByUser] for a kind of identity of your own, such as a tenant: see [NamedKey].
func ByNamed(name string, value func(r *http.Request) string) Keyer {
	return textKeyer{"ByNamed", value, func(s string) Key { return NamedKey(name, s) }}
}

type textKeyer struct {
	name string
	text func(*http.Request) string
	key  func(string) Key
}

func (k textKeyer) check() []error {
	if k.text == nil {
		return []error{fmt.Errorf("%s(nil): want a function", k.name)}
	}
	return nil
}

func (k textKeyer) Key(r *http.Request) (Key, error) {
	if k.text == nil {
		return Key{}, errors.New("ratelimit: " + k.name + "(nil)")
	}
	return found(k.key(k.text(r)))
}

func found(k Key) (Key, error) {
	if k.IsZero() {
		return k, ErrNoIdentity
	}
	return k, nil
}

// ByHeader counts by the value of a header field, such as an API key that has been checked
// before. The value is hashed. No field, an empty one, and several lines are no identity.
// A field that nobody checks lets each client be as many as it likes.
func ByHeader(name string) Keyer { return headerKeyer(http.CanonicalHeaderKey(name)) }

type headerKeyer string

func (h headerKeyer) check() []error { return checkToken("ByHeader", string(h)) }

func (h headerKeyer) Key(r *http.Request) (Key, error) {
	if v := r.Header[string(h)]; len(v) == 1 && v[0] != "" {
		return hashKey(kindHeader, string(h), v[0]), nil
	}
	return Key{}, ErrNoIdentity
}

// ByCookie counts by the value of a cookie, such as a session that has been checked before.
// The value is hashed. No such cookie, an empty one, and several are no identity.
func ByCookie(name string) Keyer { return cookieKeyer(name) }

type cookieKeyer string

func (c cookieKeyer) check() []error { return checkToken("ByCookie", string(c)) }

func (c cookieKeyer) Key(r *http.Request) (Key, error) {
	if v := r.CookiesNamed(string(c)); len(v) == 1 && v[0].Value != "" {
		return hashKey(kindCookie, string(c), v[0].Value), nil
	}
	return Key{}, ErrNoIdentity
}

// ByPattern counts by the pattern of [http.ServeMux] that matched, so the handler must be
// wrapped inside the mux. It is never the path, of which a client can make as many
// as it likes. A request that matched no pattern has no identity.
func ByPattern() Keyer { return patternKeyer{} }

type patternKeyer struct{}

func (patternKeyer) Key(r *http.Request) (Key, error) {
	if r.Pattern == "" {
		return Key{}, ErrNoIdentity
	}
	return textKey(kindPattern, r.Pattern), nil
}

// Constant counts everybody together, under the given name.
func Constant(name string) Keyer { return constant(NamedKey("constant", name)) }

type constant Key

func (k constant) Key(*http.Request) (Key, error) { return found(Key(k)) }

func (k constant) check() []error {
	if Key(k).IsZero() {
		return []error{errors.New(`Constant(""): want a name, such as "everybody"`)}
	}
	return nil
}

// countsAll reports whether k does not tell clients apart: what is too much is then the service's.
func countsAll(k Keyer) bool {
	switch k := k.(type) {
	case constant, patternKeyer:
		return true
	case combined:
		return !slices.ContainsFunc(k, func(part Keyer) bool { return !countsAll(part) })
	}
	return false
}

// FirstOf is the first identity that the request has: by user if there is one, and by
// address if not, for example. An error that is not [ErrNoIdentity] ends the search.
func FirstOf(keyers ...Keyer) Keyer { return firstOf(keyers) }

type firstOf []Keyer

func (f firstOf) check() []error { return checkParts("FirstOf", f) }

func (f firstOf) Key(r *http.Request) (Key, error) {
	for _, k := range f {
		key, err := k.Key(r)
		if err == nil && !key.IsZero() {
			return key, nil
		}
		if err != nil && !errors.Is(err, ErrNoIdentity) {
			return Key{}, err
		}
	}
	return Key{}, ErrNoIdentity
}

// Combine is all identities together: each user on each route, for example. If the request
// lacks one of them, it lacks the combination.
func Combine(keyers ...Keyer) Keyer { return combined(keyers) }

type combined []Keyer

func (c combined) check() []error { return checkParts("Combine", c) }

func (c combined) Key(r *http.Request) (Key, error) {
	var buf [8]Key
	keys := buf[:0]
	for _, k := range c {
		key, err := k.Key(r)
		if err != nil {
			return Key{}, err
		}
		keys = append(keys, key)
	}
	return found(JoinKeys(keys...))
}

func checkParts(name string, keyers []Keyer) []error {
	if len(keyers) == 0 {
		return []error{fmt.Errorf("%s(): want at least one Keyer", name)}
	}
	var errs []error
	for i, k := range keyers {
		for _, err := range checkKeyer(k) {
			errs = append(errs, fmt.Errorf("%s, argument %d: %w", name, i+1, err))
		}
	}
	return errs
}

func checkToken(what, name string) []error {
	if !isToken(name) {
		return []error{fmt.Errorf("%s(%q): want a name of letters, digits and hyphens", what, name)}
	}
	if what == "ByHeader" && (name == "Host" || name == "Transfer-Encoding") { // in the form of the field's name
		return []error{fmt.Errorf("ByHeader(%q): net/http does not keep it in Request.Header: want a KeyFunc", name)}
	}
	return nil
}

// isToken reports whether s is a token of RFC 9110, section 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !isDigit(c) && !isLetter(c) && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}
