// Package keyer finds the keys of requests: by client address, user, header field and so on.
package keyer

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"reflect"

	"github.com/ratelimit-go/ratelimit/clientip"
	"github.com/ratelimit-go/ratelimit/internal/key"
	"github.com/ratelimit-go/ratelimit/internal/routes"
)

// A Keyer says who made a request.
type Keyer interface {
	Key(r *http.Request) (key.Key, error)
}

// ErrNoKey means that a request does not carry the key that a Keyer looks for.
var ErrNoKey = errors.New("ratelimit: the request has no such key")

// A checker is a Keyer that can hold mistakes.
type checker interface{ check() []error }

// A binder is a Keyer that depends on the source of addresses.
type binder interface {
	bind(src clientip.Source) Keyer
}

// Bind returns k for a limiter that finds addresses by src. A nil k is [ClientIP].
func Bind(k Keyer, src clientip.Source) Keyer {
	switch k := k.(type) {
	case nil:
		return Addr{src}
	case binder:
		return k.bind(src)
	}
	return k
}

func bindAll(keyers []Keyer, src clientip.Source) []Keyer {
	bound := make([]Keyer, len(keyers))
	for i, k := range keyers {
		if bound[i] = k; k != nil {
			bound[i] = Bind(k, src)
		}
	}
	return bound
}

// Check returns the mistakes in k.
func Check(k Keyer) []error {
	if k == nil {
		return []error{errors.New("a nil Keyer: want for example ByClientIP()")}
	}
	if c, ok := k.(checker); ok {
		return c.check()
	}
	switch {
	case !IsNil(k):
		return nil
	case reflect.TypeOf(k).Kind() == reflect.Func:
		return []error{errors.New("a nil KeyFunc: want a function")}
	}
	return []error{fmt.Errorf("a nil %T: want what its constructor returns", k)}
}

// IsNil reports whether v is a nil pointer or a nil function, in an interface that is not nil.
func IsNil(v any) bool {
	switch v := reflect.ValueOf(v); v.Kind() {
	case reflect.Func, reflect.Pointer:
		return v.IsNil()
	}
	return false
}

// IsMissing reports whether err means that a request does not carry a key: [ErrNoKey], or
// clientip.ErrNoAddr of a function that asks a Source itself.
func IsMissing(err error) bool {
	return errors.Is(err, ErrNoKey) || errors.Is(err, clientip.ErrNoAddr)
}

// BindPattern returns k for a rule of a route: requests match pattern, so that it is the key if no
// ServeMux has found a narrower one.
func BindPattern(k Keyer, pattern string) Keyer {
	bind := func(parts []Keyer) []Keyer {
		bound := make([]Keyer, len(parts))
		for i, part := range parts {
			bound[i] = BindPattern(part, pattern)
		}
		return bound
	}
	switch k := k.(type) {
	case Pattern:
		return Pattern{pattern}
	case firstOf:
		return firstOf(bind(k))
	case allOf:
		return allOf(bind(k))
	}
	return k
}

// SourceOf returns the source by which k finds addresses, once it is bound. It returns false if k
// does not say that it finds any. A Keyer of another package says so by a method ClientIP.
func SourceOf(k Keyer) (clientip.Source, bool) {
	var parts []Keyer
	switch k := k.(type) {
	case Addr:
		return k.Source, true
	case interface{ ClientIP() clientip.Source }:
		return k.ClientIP(), true
	case firstOf:
		parts = k
	case allOf:
		parts = k
	}
	for _, part := range parts {
		if src, ok := SourceOf(part); ok {
			return src, true
		}
	}
	return clientip.Source{}, false
}

// IsClientIP reports whether k counts by the address that src finds.
func IsClientIP(k Keyer, src clientip.Source) bool {
	switch k := k.(type) {
	case nil, ClientIP:
		return true
	case Addr:
		return k.Source == src
	}
	return false
}

func present(k key.Key) (key.Key, error) {
	if k.IsZero() {
		return k, ErrNoKey
	}
	return k, nil
}

// ClientIP is the address of the client, once it is bound.
type ClientIP struct{}

func (ClientIP) bind(src clientip.Source) Keyer { return Addr{src} }

// Key returns an error: without Bind nothing is known of proxies.
func (ClientIP) Key(*http.Request) (key.Key, error) {
	return key.Key{}, errors.New("ratelimit: ByClientIP() outside of a Config or a decorator: " +
		"want ByIP with a clientip.Source")
}

// Addr is the address that a source finds.
type Addr struct{ clientip.Source }

func (a Addr) check() []error {
	if joined, ok := a.Err().(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return nil
}

// Key returns the key of the address.
func (a Addr) Key(r *http.Request) (key.Key, error) {
	addr, err := a.Source.Addr(r)
	if err != nil {
		if IsMissing(err) {
			err = ErrNoKey
		}
		return key.Key{}, err
	}
	if addr.Is4() {
		return key.Addr(addr, 32), nil
	}
	prefix := a.Prefix(addr)
	return key.Addr(prefix.Addr(), prefix.Bits()), nil
}

// Text is a text that a function finds. Name is the name of its constructor, for mistakes.
type Text struct {
	Name string
	Text func(*http.Request) string
	Make func(string) key.Key
}

func (t Text) check() []error {
	if t.Text == nil {
		return []error{fmt.Errorf("%s(nil): want a function", t.Name)}
	}
	return nil
}

// Key returns the key of the text.
func (t Text) Key(r *http.Request) (key.Key, error) {
	if t.Text == nil {
		return key.Key{}, errors.New("ratelimit: " + t.Name + "(nil)")
	}
	return present(t.Make(t.Text(r)))
}

// Header is the hashed value of the header field with this canonical name.
type Header string

func (h Header) check() []error {
	text := ""
	sent := &http.Request{Header: http.Header{string(h): {""}}}
	switch {
	case h == "Host" || h == "Transfer-Encoding" || h == "Trailer":
		text = "ByHeader(%q): net/http does not keep it in Request.Header: want a KeyFunc"
	case clientip.Remote().Trace(sent).Present != "":
		text = "ByHeader(%q): a client can write another value for each request: " +
			"want ByClientIP, and the proxies in Config.ClientIP"
	}
	if text != "" {
		return []error{fmt.Errorf(text, string(h))}
	}
	return checkToken("ByHeader", string(h))
}

// Key returns the key of the field, if it has one line that is not empty.
func (h Header) Key(r *http.Request) (key.Key, error) {
	if v := r.Header[string(h)]; len(v) == 1 && v[0] != "" {
		return key.Hashed(key.Header, string(h), v[0]), nil
	}
	return key.Key{}, ErrNoKey
}

// Cookie is the hashed value of the cookie with this name.
type Cookie string

func (c Cookie) check() []error { return checkToken("ByCookie", string(c)) }

// Key returns the key of the cookie, if r has it once and it is not empty.
func (c Cookie) Key(r *http.Request) (key.Key, error) {
	if v := r.CookiesNamed(string(c)); len(v) == 1 && v[0].Value != "" {
		return key.Hashed(key.Cookie, string(c), v[0].Value), nil
	}
	return key.Key{}, ErrNoKey
}

func checkToken(what, name string) []error {
	if !routes.IsToken(name) {
		return []error{fmt.Errorf("%s(%q): want a name of letters, digits and hyphens", what, name)}
	}
	return nil
}

// Pattern is the [http.ServeMux] pattern that the request matched. Route is the pattern of requests
// that no ServeMux has seen.
type Pattern struct{ Route string }

// Key returns the key of the pattern.
func (p Pattern) Key(r *http.Request) (key.Key, error) {
	return present(key.Text(key.Pattern, cmp.Or(r.Pattern, p.Route)))
}

// Global is the same key for all requests.
type Global key.Key

func (g Global) check() []error {
	if key.Key(g).IsZero() {
		return []error{errors.New(`Global(""): want a name, such as "everybody"`)}
	}
	return nil
}

// Key returns g.
func (g Global) Key(*http.Request) (key.Key, error) { return present(key.Key(g)) }
