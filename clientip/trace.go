package clientip

import (
	"net/http"
	"net/netip"
	"strings"
)

// A Trace says how a [Source] found the address of a client. Use it to find out what is wrong with
// a deployment. It has no text that a client chose.
type Trace struct {
	// Addr is the address that Source.Addr returns. It is invalid if no address was found.
	Addr netip.Addr
	// Peer is the address of the connection's peer. It is invalid if the peer has none.
	Peer netip.Addr
	// Unix reports that the peer is on a unix socket.
	Unix bool
	// Field is the header field that the Source reads. It is empty if the Source reads none.
	Field string
	// Trusted reports whether the Source trusts the peer to report in Field.
	Trusted bool
	// Present is a header field of the request in which proxies report addresses: Field, or else
	// another common one. It is empty if the request has none of them. A client can send such a
	// field too.
	Present string
	// Proxy is a header field of the request that proxies add and that has no address, such as
	// X-Forwarded-Proto. It is empty if the request has none.
	Proxy string
	// Unread is a header field in which CDNs report one address, if a trusted peer has sent it
	// beside Field, and its address is not Addr. It is empty otherwise.
	Unread string
	// Short reports that Field has fewer addresses than [TrustedHops] trusts hops. Then a client
	// that sends the field too can choose its address.
	Short bool
	// Junk reports that the search for Addr ended at text in Field that is no address.
	Junk bool
	// Before is the address that stands before Addr in a Field with several. It is invalid if none
	// does. The hop at Addr reported it, and Addr is not trusted.
	Before netip.Addr
}

// common are the header fields in which proxies report addresses, most common first.
var common = [...]string{
	"X-Forwarded-For", "Forwarded", "X-Real-Ip", "Cf-Connecting-Ip", "True-Client-Ip", "X-Client-Ip",
	"Fastly-Client-Ip", "Fly-Client-Ip", "X-Azure-Clientip", "X-Cluster-Client-Ip",
	"X-Envoy-External-Address", "X-Original-Forwarded-For", "X-Forwarded", "Client-Ip", "Incap-Client-Ip",
	"X-Sucuri-Clientip", "Do-Connecting-Ip", "X-Appengine-User-Ip", "X-Nf-Client-Connection-Ip",
	"X-Vercel-Forwarded-For", "Cloudfront-Viewer-Address", "Ali-Cdn-Real-Ip",
}

// without are fields of proxies without an address.
var without = [...]string{
	"X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Server", "Via",
}

// ofCDNs are the header fields in which CDNs report one address, of the client that they see.
var ofCDNs = [...]string{
	"Cf-Connecting-Ip", "True-Client-Ip", "Fastly-Client-Ip", "Fly-Client-Ip", "X-Azure-Clientip",
}

// Trace returns how s finds the address of the client that sent r. If a function of [Proxies]
// panics, Trace panics too.
func (s Source) Trace(r *http.Request) (t Trace) {
	t.Peer, _ = parseHost(r.RemoteAddr)
	t.Unix = isUnix(r.RemoteAddr)
	t.Addr, _ = s.Addr(r)
	f := s.field
	if f != nil && len(f.errs) == 0 {
		t.Field, t.Trusted = f.name, f.proxies.vouch(r, t.Peer)
		if r.Header[f.name] != nil {
			t.Present = f.name
		}
		if t.Trusted && f.form != single {
			t.Before = f.before(r.Header[f.name], t.Addr)
		}
		if t.Trusted && t.Present == f.name {
			t.Unread = unread(r, f.name, t.Addr)
			t.Short, t.Junk = f.end(r.Header[f.name])
		}
	}
	first := func(names []string) string {
		for _, name := range names {
			if r.Header[name] != nil {
				return name
			}
		}
		return ""
	}
	if t.Proxy = first(without[:]); t.Present == "" {
		t.Present = first(common[:])
	}
	return t
}

// unread returns a field of a CDN, except the named one, that has another address than addr.
func unread(r *http.Request, name string, addr netip.Addr) string {
	for _, field := range ofCDNs {
		lines := r.Header[field]
		if field == name || len(lines) != 1 {
			continue
		}
		if got, ok := parseHost(strings.TrimSpace(lines[0])); ok && got != addr {
			return field
		}
	}
	return ""
}

// end returns why no address in lines is the client: there are fewer than trusted hops, or text
// that is no address comes first.
func (f *field) end(lines []string) (short, junk bool) {
	if f.form == single {
		_, ok := parseHost(strings.TrimSpace(lines[0]))
		return false, !ok || len(lines) > 1
	}
	members := members{lines: lines, quotes: f.form == elements}
	for hop := 1; hop <= maxHops; hop++ {
		text, more := members.prev()
		if !more {
			return f.proxies.hops > 0, false
		}
		if f.form == elements {
			text = forNode(text)
		}
		if addr, ok := parseHost(text); !ok || !f.proxies.trusts(addr, hop) {
			return false, !ok
		}
	}
	return false, false
}

// before returns the address before addr in lines, where addr is the first from the right that is
// not trusted.
func (f *field) before(lines []string, addr netip.Addr) netip.Addr {
	members := members{lines: lines, quotes: f.form == elements}
	found := false
	for range maxHops {
		text, more := members.prev()
		if !more {
			break
		}
		if f.form == elements {
			text = forNode(text)
		}
		got, ok := parseHost(text)
		switch {
		case found && ok:
			return got
		case found || !ok:
			return netip.Addr{}
		}
		found = got == addr
	}
	return netip.Addr{}
}
