package ratelimit

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/ratelimit-go/ratelimit/clientip"
	"github.com/ratelimit-go/ratelimit/internal/key"
	"github.com/ratelimit-go/ratelimit/internal/routes"
)

// A Keyer says who made a request.
//
// Key must be safe for concurrent use and must not consume the body of the request. It returns
// [ErrNoKey], or the zero Key, if the request has no such key. Rule.OnMissingKey then decides. Any
// other error, and a panic, is reported to Hooks.Error and then treated like a missing key.
type Keyer interface {
	Key(r *http.Request) (Key, error)
}

// KeyFunc is a function as a [Keyer].
type KeyFunc func(r *http.Request) (Key, error)

// Key returns f(r).
func (f KeyFunc) Key(r *http.Request) (Key, error) { return f(r) }

// ErrNoKey means that a request does not carry the key that a [Keyer] looks for.
var ErrNoKey = errors.New("ratelimit: the request has no such key")

// ByClientIP counts by the address of the client, found as Config.ClientIP says. A rule without a
// Key counts by it. IPv6 clients are counted by /64 unless Config.ClientIP says otherwise.
func ByClientIP() Keyer { return clientIP{} }

// ByIP counts by the address of the client, found as src says, whatever Config.ClientIP is.
func ByIP(src clientip.Source) Keyer { return byAddr{src} }

// ByUser counts by the name or number of a user, which user returns. "" means that the request has
// none. Use it behind authentication, and return what authentication established. If user returns
// what the client merely claims, one client can make itself a thousand users. For a login form,
// where there is only a claim, see package login.
func ByUser(user func(r *http.Request) string) Keyer {
	return byText{"ByUser", user, UserKey}
}

// ByValue is [ByUser] for a key of your own kind, such as a tenant: see [ValueKey].
func ByValue(name string, value func(r *http.Request) string) Keyer {
	return byText{"ByValue", value, func(s string) Key { return ValueKey(name, s) }}
}

// ByHeader counts by the value of a header field, such as an API key that an outer handler has
// checked. The value is hashed. A missing field, an empty field and several lines are no key. If no
// handler checks the field, each client can have as many keys as it likes.
func ByHeader(name string) Keyer { return byHeader(http.CanonicalHeaderKey(name)) }

// ByCookie counts by the value of a cookie, such as a session that an outer handler has checked. The
// value is hashed. A missing cookie, an empty cookie and several of that name are no key.
func ByCookie(name string) Keyer { return byCookie(name) }

// ByPattern counts by the [http.ServeMux] pattern that the request matched. Wrap the handler inside
// the mux: around the mux there is no pattern yet, and a request without a pattern has no key. It
// never counts by the path, because a client can make as many paths as it likes.
func ByPattern() Keyer { return byPattern{} }

// Global counts all requests together under the given name.
func Global(name string) Keyer { return global(ValueKey("global", name)) }

// FirstOf is the first key that the request has, such as the user or else the address. An error
// other than [ErrNoKey] ends the search.
func FirstOf(keyers ...Keyer) Keyer { return firstOf(slices.Clone(keyers)) }

// AllOf is all keys together, such as each user on each route. If the request lacks one of them, it
// lacks the combination.
func AllOf(keyers ...Keyer) Keyer { return allOf(slices.Clone(keyers)) }

// A checker is a Keyer that can hold mistakes, which New reports.
type checker interface{ check() []error }

// A binder is a Keyer that depends on Config.ClientIP.
type binder interface {
	bind(src clientip.Source) Keyer
}

// bindKeyer returns k for a Config with this ClientIP. A nil k is ByClientIP.
func bindKeyer(k Keyer, src clientip.Source) Keyer {
	switch k := k.(type) {
	case nil:
		return byAddr{src}
	case binder:
		return k.bind(src)
	}
	return k
}

func bindAll(keyers []Keyer, src clientip.Source) []Keyer {
	bound := make([]Keyer, len(keyers))
	for i, k := range keyers {
		if bound[i] = k; k != nil {
			bound[i] = bindKeyer(k, src)
		}
	}
	return bound
}

func checkKeyer(k Keyer) []error {
	switch k := k.(type) {
	case nil:
		return []error{errors.New("a nil Keyer: want for example ByClientIP()")}
	case KeyFunc:
		if k == nil {
			return []error{errors.New("a nil KeyFunc: want a function")}
		}
	case checker:
		return k.check()
	}
	return nil
}

type clientIP struct{}

func (clientIP) bind(src clientip.Source) Keyer { return byAddr{src} }

func (clientIP) Key(*http.Request) (Key, error) {
	return Key{}, errors.New("ratelimit: ByClientIP() outside of a Config or a decorator: want ByIP with a clientip.Source")
}

type byAddr struct{ src clientip.Source }

func (b byAddr) check() []error { return unjoin(b.src.Err()) }

func (b byAddr) Key(r *http.Request) (Key, error) {
	addr, err := b.src.Addr(r)
	if err != nil {
		if errors.Is(err, clientip.ErrNoAddr) {
			err = ErrNoKey
		}
		return Key{}, err
	}
	if addr.Is4() {
		return key.Addr(addr, 32), nil
	}
	return PrefixKey(b.src.Prefix(addr)), nil
}

type byText struct {
	name string
	text func(*http.Request) string
	key  func(string) Key
}

func (b byText) check() []error {
	if b.text == nil {
		return []error{fmt.Errorf("%s(nil): want a function", b.name)}
	}
	return nil
}

func (b byText) Key(r *http.Request) (Key, error) {
	if b.text == nil {
		return Key{}, errors.New("ratelimit: " + b.name + "(nil)")
	}
	return present(b.key(b.text(r)))
}

func present(k Key) (Key, error) {
	if k.IsZero() {
		return k, ErrNoKey
	}
	return k, nil
}

type byHeader string

func (b byHeader) check() []error {
	if b == "Host" || b == "Transfer-Encoding" {
		return []error{fmt.Errorf("ByHeader(%q): net/http does not keep it in Request.Header: want a KeyFunc", string(b))}
	}
	return checkToken("ByHeader", string(b))
}

func (b byHeader) Key(r *http.Request) (Key, error) {
	if v := r.Header[string(b)]; len(v) == 1 && v[0] != "" {
		return key.Hashed(key.Header, string(b), v[0]), nil
	}
	return Key{}, ErrNoKey
}

type byCookie string

func (b byCookie) check() []error { return checkToken("ByCookie", string(b)) }

func (b byCookie) Key(r *http.Request) (Key, error) {
	if v := r.CookiesNamed(string(b)); len(v) == 1 && v[0].Value != "" {
		return key.Hashed(key.Cookie, string(b), v[0].Value), nil
	}
	return Key{}, ErrNoKey
}

type byPattern struct{}

func (byPattern) Key(r *http.Request) (Key, error) { return present(key.Text(key.Pattern, r.Pattern)) }

type global Key

func (g global) Key(*http.Request) (Key, error) { return present(Key(g)) }

func (g global) check() []error {
	if Key(g).IsZero() {
		return []error{errors.New(`Global(""): want a name, such as "everybody"`)}
	}
	return nil
}

type firstOf []Keyer

func (f firstOf) check() []error { return checkParts("FirstOf", f) }

func (f firstOf) bind(src clientip.Source) Keyer { return firstOf(bindAll(f, src)) }

func (f firstOf) Key(r *http.Request) (Key, error) {
	for _, k := range f {
		got, err := k.Key(r)
		if err == nil && !got.IsZero() {
			return got, nil
		}
		if err != nil && !errors.Is(err, ErrNoKey) {
			return Key{}, err
		}
	}
	return Key{}, ErrNoKey
}

type allOf []Keyer

func (a allOf) check() []error { return checkParts("AllOf", a) }

func (a allOf) bind(src clientip.Source) Keyer { return allOf(bindAll(a, src)) }

func (a allOf) Key(r *http.Request) (Key, error) {
	var buf [8]Key
	keys := buf[:0]
	for _, k := range a {
		got, err := k.Key(r)
		if err != nil {
			return Key{}, err
		}
		keys = append(keys, got)
	}
	return present(JoinKeys(keys...))
}

// countsAll reports whether k does not tell clients apart. Requests over the limit then say that the
// service is short of capacity, not that a client sends too many.
func countsAll(k Keyer) bool {
	switch k := k.(type) {
	case global, byPattern:
		return true
	case allOf:
		return !slices.ContainsFunc(k, func(part Keyer) bool { return !countsAll(part) })
	}
	return false
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
	if !routes.IsToken(name) {
		return []error{fmt.Errorf("%s(%q): want a name of letters, digits and hyphens", what, name)}
	}
	return nil
}
