package deploy

import (
	"net/netip"

	"github.com/ratelimit-go/ratelimit/clientip"
)

// A sample is what the first requests have in common.
type sample struct {
	requests int
	addr     netip.Addr // of all requests
	before   netip.Addr // of the first request
	differ   bool       // requests have different addresses
	chains   int        // requests with an address before addr
	others   bool       // the addresses before addr differ
	trusted  bool       // a request came from a trusted peer
	found    bool       // a request had a client that is not its trusted peer
	proxied  int        // requests with a field of proxies that has no address
	short    int        // requests with fewer addresses than trusted hops
	junk     bool       // a request had a field that is not read, because of text that is no address
	present  bool       // a request had the field that the source reads
	addrs    map[netip.Addr]bool
	befores  map[netip.Addr]bool // the addresses before these
}

func (s *sample) add(t *clientip.Trace) {
	if s.requests == 0 {
		s.addr, s.before = t.Addr, t.Before
		s.addrs, s.befores = map[netip.Addr]bool{}, map[netip.Addr]bool{}
	}
	s.requests++
	s.differ = s.differ || t.Addr != s.addr
	s.others = s.others || t.Before != s.before
	s.trusted, s.found = s.trusted || t.Trusted, s.found || !t.Trusted || t.Addr != t.Peer
	if t.Proxy != "" && t.Present == "" {
		s.proxied++
	}
	s.addrs[t.Addr] = true
	s.junk = s.junk || t.Junk
	if t.Short {
		s.short++
	}
	s.present = s.present || t.Field != "" && t.Present == t.Field
	if t.Before.IsValid() {
		s.chains++
		s.befores[t.Before] = true
	}
}

// judge returns what s shows, of which t is the last.
func (s *sample) judge(t *clientip.Trace, name string) (problem, bool) {
	hidden := t.Before.IsValid() && private(t.Addr) && !private(t.Before)
	same := !s.differ && s.addr.IsValid()
	if hidden || s.requests >= few && s.chains == s.requests && (same && s.others || s.layered()) {
		args := []any{name, t.Addr, t.Field, suggest(t.Field, t.Addr.String())}
		return problem{appended, textAppended, args}, true
	}
	if s.short == few {
		return problem{tooManyHops, textTooManyHops, []any{name, t.Field, few, t.Peer}}, true
	}
	if s.requests != sampled || s.chains > 0 {
		return problem{}, false
	}
	switch {
	case s.trusted && s.found:
	case s.trusted && !s.present:
		return problem{proxyIsSilent, textSilent, []any{sampled, t.Peer, t.Field, name}}, true
	case s.trusted && s.short > 0:
	case s.trusted && s.junk:
		return problem{noAddressInField, textNoAddressInField, []any{t.Field, sampled, name, t.Peer}}, true
	case s.trusted:
		return problem{onlyTrusted, textOnlyTrusted, []any{name, t.Field, sampled, t.Peer}}, true
	case s.proxied == sampled && len(s.addrs) <= few:
		args := []any{sampled, t.Proxy, t.Addr, suggest("", t.Addr.String())}
		return problem{addressIsMissing, textMissing, args}, true
	case same && private(s.addr):
		args := []any{sampled, s.addr, suggest("", s.addr.String())}
		return problem{onePrivatePeer, textPrivate, args}, true
	}
	return problem{}, false
}

// layered reports whether many clients came by few addresses, such as of a CDN that is not named.
func (s *sample) layered() bool {
	return s.requests == sampled && len(s.addrs) <= few && len(s.befores) >= 2*len(s.addrs)
}

// shared is RFC 6598, the addresses between a carrier, or a cloud, and its customers.
var shared = netip.MustParsePrefix("100.64.0.0/10")

func private(addr netip.Addr) bool {
	return addr.IsPrivate() || addr.IsLoopback() || addr.IsLinkLocalUnicast() || shared.Contains(addr)
}
