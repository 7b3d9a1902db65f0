package clientip

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestTrace(t *testing.T) {
	addr := netip.MustParseAddr
	peer, a, b := addr("10.0.0.1"), addr("192.0.2.1"), addr("203.0.113.1")
	trusted := TrustedProxies("10.0.0.1", "10.0.0.2", "unix")
	for _, tc := range []struct {
		name   string
		src    Source
		remote string
		field  string
		lines  []string
		want   Trace
	}{
		{"a direct client", Remote(), "10.0.0.1:1", "", nil, Trace{Addr: peer, Peer: peer}},
		{
			"a field that is not read",
			Source{},
			"10.0.0.1:1", "X-Client-IP",
			[]string{"x"},
			Trace{Addr: peer, Peer: peer, Present: "X-Client-Ip"},
		},
		{
			"a field without an address",
			Source{},
			"10.0.0.1:1", "X-Forwarded-Proto",
			[]string{"https"},
			Trace{Addr: peer, Peer: peer, Proxy: "X-Forwarded-Proto"},
		},
		{"a unix socket", Source{}, "@", "", nil, Trace{Unix: true}},
		{
			"a trusted unix socket", ForwardedFor(trusted), "@", "X-Forwarded-For",
			[]string{"192.0.2.1"},
			Trace{Addr: a, Unix: true, Field: "X-Forwarded-For", Trusted: true, Present: "X-Forwarded-For"},
		},
		{
			"a chain", ForwardedFor(trusted), "10.0.0.1:1", "X-Forwarded-For",
			[]string{"junk, 203.0.113.1", "192.0.2.1, 10.0.0.2"},
			Trace{Addr: a, Peer: peer, Field: "X-Forwarded-For", Trusted: true, Present: "X-Forwarded-For", Before: b},
		},
		{
			"a chain with junk before", ForwardedFor(trusted), "10.0.0.1:1", "X-Forwarded-For",
			[]string{"203.0.113.1, junk, 192.0.2.1"},
			Trace{Addr: a, Peer: peer, Field: "X-Forwarded-For", Trusted: true, Present: "X-Forwarded-For"},
		},
		{
			"RFC 7239", Forwarded(trusted), "10.0.0.1:1", "Forwarded",
			[]string{"for=203.0.113.1, for=192.0.2.1;by=x"},
			Trace{Addr: a, Peer: peer, Field: "Forwarded", Trusted: true, Present: "Forwarded", Before: b},
		},
		{
			"a peer that is not trusted", Header("X-Real-IP", trusted), "192.0.2.1:1", "X-Real-IP",
			[]string{"203.0.113.1"},
			Trace{Addr: a, Peer: a, Field: "X-Real-Ip", Present: "X-Real-Ip"},
		},
		{
			"another field", Header("X-Real-IP", trusted), "10.0.0.1:1", "Forwarded",
			[]string{"for=203.0.113.1"},
			Trace{Addr: peer, Peer: peer, Field: "X-Real-Ip", Trusted: true, Present: "Forwarded"},
		},
		{
			"fewer addresses than hops", ForwardedFor(TrustedHops(3)), "10.0.0.1:1", "X-Forwarded-For",
			[]string{"192.0.2.1, 10.0.0.2"},
			Trace{Addr: peer, Peer: peer, Field: "X-Forwarded-For", Trusted: true, Present: "X-Forwarded-For", Short: true},
		},
		{
			"trusted addresses only", ForwardedFor(trusted), "10.0.0.1:1", "X-Forwarded-For",
			[]string{"10.0.0.2, 10.0.0.2"},
			Trace{Addr: peer, Peer: peer, Field: "X-Forwarded-For", Trusted: true, Present: "X-Forwarded-For"},
		},
		{
			"a name", ForwardedFor(TrustedHops(3)), "10.0.0.1:1", "X-Forwarded-For",
			[]string{"192.0.2.1, proxy, 10.0.0.1"},
			Trace{Addr: peer, Peer: peer, Field: "X-Forwarded-For", Trusted: true, Present: "X-Forwarded-For", Junk: true},
		},
		{
			"a hidden node", Forwarded(trusted), "10.0.0.1:1", "Forwarded",
			[]string{"for=192.0.2.1, for=_hidden"},
			Trace{Addr: peer, Peer: peer, Field: "Forwarded", Trusted: true, Present: "Forwarded", Junk: true},
		},
		{
			"two lines of one address", Header("X-Real-IP", trusted), "10.0.0.1:1", "X-Real-IP",
			[]string{"192.0.2.1", "192.0.2.1"},
			Trace{Addr: peer, Peer: peer, Field: "X-Real-Ip", Trusted: true, Present: "X-Real-Ip", Junk: true},
		},
		{"a source with a mistake", ForwardedFor(Proxies{}), "10.0.0.1:1", "", nil, Trace{Peer: peer}},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = tc.remote
		for _, line := range tc.lines {
			r.Header.Add(tc.field, line)
		}
		assert.Equal(t, tc.want, tc.src.Trace(r), tc.name)
	}
}

// A field of a CDN is unread if a trusted peer has sent it beside the field that is read, with
// another address.
func TestUnreadField(t *testing.T) {
	trusted := TrustedProxies("10.0.0.1")
	for _, tc := range []struct {
		name   string
		src    Source
		remote string
		fields []string
		want   string
	}{
		{"another address", ForwardedFor(trusted), "10.0.0.1:1", []string{"CF-Connecting-IP", "203.0.113.1"}, "Cf-Connecting-Ip"},
		{"another spelling", ForwardedFor(trusted), "10.0.0.1:1", []string{"True-Client-IP", " ::ffff:192.0.2.1 "}, ""},
		{
			"another address in a second field", ForwardedFor(trusted), "10.0.0.1:1",
			[]string{"True-Client-IP", "192.0.2.1", "Fly-Client-IP", "203.0.113.1"},
			"Fly-Client-Ip",
		},
		{"junk", ForwardedFor(trusted), "10.0.0.1:1", []string{"CF-Connecting-IP", "x"}, ""},
		{
			"two lines", ForwardedFor(trusted), "10.0.0.1:1",
			[]string{"CF-Connecting-IP", "203.0.113.1", "CF-Connecting-IP", "203.0.113.2"},
			"",
		},
		{"the field that is read", Header("CF-Connecting-IP", trusted), "10.0.0.1:1", []string{"CF-Connecting-IP", "203.0.113.1"}, ""},
		{"from another peer", ForwardedFor(trusted), "192.0.2.9:1", []string{"CF-Connecting-IP", "203.0.113.1"}, ""},
		{"without a source", Source{}, "10.0.0.1:1", []string{"CF-Connecting-IP", "203.0.113.1"}, ""},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = tc.remote
		r.Header.Set("X-Forwarded-For", "192.0.2.1")
		for i := 0; i < len(tc.fields); i += 2 {
			r.Header.Add(tc.fields[i], tc.fields[i+1])
		}
		assert.Equal(t, tc.want, tc.src.Trace(r).Unread, tc.name)
	}
}
