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
