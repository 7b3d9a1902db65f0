package clientip

import (
	"errors"
	"net/http"
	"net/netip"
	"strings"
)

// maxHops bounds the addresses that are read of one field. A longer chain is an attack.
const maxHops = 64

// A field is the header field of a Source, and the proxies that may report in it. It is immutable.
type field struct {
	name    string // canonical
	form    form
	proxies Proxies
	errs    []error // if any, the field is never read
}

// A form is how a field holds addresses.
type form uint8

const (
	single   form = iota // one address
	list                 // addresses with commas between them: X-Forwarded-For
	elements             // elements of RFC 7239: Forwarded
)

// client returns the address of the client of r. A nil f reads no field. It is a method of a
// nilable pointer so that Source.Addr is only a call, which the compiler inlines.
func (f *field) client(r *http.Request) (netip.Addr, error) {
	peer, ok := parseHost(r.RemoteAddr)
	if f != nil {
		if len(f.errs) > 0 {
			return netip.Addr{}, errors.Join(f.errs...)
		}
		if f.proxies.vouch(r, peer) {
			peer = f.reported(r, peer)
			ok = peer.IsValid()
		}
	}
	if !ok {
		return netip.Addr{}, ErrNoAddr
	}
	return peer, nil
}

// reported returns the address that a trusted peer reports, or peer if it reports none.
func (f *field) reported(r *http.Request, peer netip.Addr) netip.Addr {
	lines := r.Header[f.name]
	if f.form != single {
		return f.walk(lines, peer)
	}
	if len(lines) != 1 {
		return peer
	}
	if addr, ok := parseHost(strings.TrimSpace(lines[0])); ok {
		return addr
	}
	return peer
}

// walk reads the addresses in lines from the right, as [ForwardedFor] says. Every address that it
// returns was reported by a trusted proxy.
func (f *field) walk(lines []string, peer netip.Addr) netip.Addr {
	members, last := members{lines: lines, quotes: f.form == elements}, peer
	for hop := 1; hop <= maxHops; hop++ {
		text, more := members.prev()
		if !more {
			return peer // trusted proxies only, or a chain too short for TrustedHops
		}
		if f.form == elements {
			text = forNode(text)
		}
		addr, ok := parseHost(text)
		if !ok {
			return last
		}
		if !f.proxies.trusts(addr, hop) {
			return addr
		}
		last = addr
	}
	return last
}
