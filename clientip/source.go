package clientip

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

const defaultIPv6Prefix = 64

// ErrNoAddr means that a request has no client address, such as a request from a unix socket.
var ErrNoAddr = errors.New("clientip: the request has no client address")

// A Source says how to find the address of a client. The zero Source finds the same address as
// [Remote], but its IsZero reports true. If a Source was made with a mistake, Err reports it, and
// Addr and Client return it for every request. A Source is immutable and safe for concurrent use.
type Source struct {
	field *field // nil for the peer's address
	bits  uint8  // of IPv6Prefix; 0 means defaultIPv6Prefix
	set   bool   // false for the zero Source
}

// Remote returns the Source of the address of the connection's peer. It reads no header field. Use
// it only if clients connect to the service directly. Behind a proxy all clients have the address
// of the proxy: see [ForwardedFor]. A peer on a unix socket has no address.
func Remote() Source { return Source{set: true} }

// ForwardedFor returns the Source of the address that trusted proxies report in X-Forwarded-For.
// Use it if every proxy in front of the service appends to that field.
//
// If the peer is trusted, Addr reads the field from right to left, over all of its lines. The first
// address that is not trusted is the client. If an unreadable entry or a 65th address comes first,
// the client is the last address read, or the peer if no address was read. If the field ends first,
// or is missing, the client is the peer. Text that the client itself wrote is ignored.
func ForwardedFor(p Proxies) Source { return newSource("X-Forwarded-For", list, p) }

// Forwarded returns the Source of the address that trusted proxies report in Forwarded, the field
// of RFC 7239. It reads the field as [ForwardedFor] does. Obfuscated and unknown nodes are junk.
func Forwarded(p Proxies) Source { return newSource("Forwarded", elements, p) }

// Header returns the Source of the address that trusted proxies report in the named field, such as
// CF-Connecting-IP. The field must have one line with one address. Otherwise the peer is the
// client. Make sure that the proxy sets the field itself and does not pass on a field that the
// client sent.
func Header(name string, p Proxies) Source {
	s := newSource(http.CanonicalHeaderKey(name), single, p)
	if !isToken(name) {
		s = s.mistaken("header name %.80q: want a field name such as CF-Connecting-IP", name)
	}
	switch s.field.name {
	case "X-Forwarded-For":
		s = s.mistaken("Header(%q): the field holds several addresses: want ForwardedFor", name)
	case "Host", "Transfer-Encoding":
		s = s.mistaken("Header(%q): net/http does not keep it in Request.Header: want another field", name)
	case "Forwarded":
		s = s.mistaken("Header(%q): the field holds no plain address: want Forwarded", name)
	}
	if p.hops > 1 {
		s = s.mistaken("Header with TrustedHops(%d): the field holds one address: "+
			"want TrustedProxies or TrustedHops(1)", p.hops)
	}
	return s
}

func newSource(name string, form form, p Proxies) Source {
	return Source{field: &field{name: name, form: form, proxies: p, errs: p.check(name)}, set: true}
}

// IsZero reports whether s is the zero Source, which means that no source was chosen.
func (s Source) IsZero() bool { return s == Source{} }

// IPv6Prefix returns a copy of s that tells IPv6 clients apart by their first bits bits, from 32 to
// 128. The default is 64.
func (s Source) IPv6Prefix(bits int) Source {
	if bits < 32 || bits > 128 {
		return s.mistaken("IPv6Prefix(%d): want 32 to 128", bits)
	}
	s.bits, s.set = uint8(bits), true
	return s
}

// mistaken returns a copy of s with one more mistake.
func (s Source) mistaken(format string, arg any) Source {
	var f field
	if s.field != nil {
		f = *s.field
	}
	f.errs = append(slices.Clip(f.errs), fmt.Errorf("clientip: "+format, arg))
	s.field, s.set = &f, true
	return s
}

// Conditional reports whether Addr calls a function with the request: see [Proxies.If].
func (s Source) Conditional() bool { return s.field != nil && s.field.proxies.cond != nil }

// Err returns every mistake in how s was made, joined by [errors.Join] in the order of the calls.
// It returns nil if s has no mistake. Call it at start-up.
func (s Source) Err() error {
	if s.field == nil {
		return nil
	}
	return errors.Join(s.field.errs...)
}

// Addr returns the address of the client that sent r, in the form that [Canonical] returns. The
// error is [ErrNoAddr] if there is no address, or the result of Err if s has a mistake. If a
// function of [Proxies] panics, Addr does not recover: the panic reaches the caller.
func (s Source) Addr(r *http.Request) (netip.Addr, error) { return s.field.client(r) }

// Prefix returns the prefix that stands for all addresses of one client. For an IPv4 address it is
// the whole address. For an IPv6 address it is the /64, which is the least that one subscriber has,
// unless IPv6Prefix says otherwise. Addr is made canonical first. For an invalid addr it is the
// zero Prefix.
func (s Source) Prefix(addr netip.Addr) netip.Prefix {
	addr = Canonical(addr)
	bits := addr.BitLen()
	if bits > 32 {
		bits = int(s.bits)
		if bits == 0 {
			bits = defaultIPv6Prefix
		}
	}
	p, _ := addr.Prefix(bits) // it fails only for bits out of range
	return p
}

// Client returns the Prefix of the Addr of r, with the same errors as Addr. Use it to tell clients
// apart in logs and in other limiters.
func (s Source) Client(r *http.Request) (netip.Prefix, error) {
	addr, err := s.Addr(r)
	return s.Prefix(addr), err
}

// isToken reports whether s is a token of RFC 9110, section 5.6.2, as names of fields are.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && !isDigit(c) && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}
