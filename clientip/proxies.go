package clientip

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
)

// Proxies says which hops of a request are trusted to report the address of the hop before them.
// The zero Proxies trusts no hop, which [Source.Err] reports as a mistake. Proxies is immutable and
// safe for concurrent use.
//
// If you trust an address range, you trust everyone who can connect from it. If a CDN's ranges are
// shared by its customers, check a shared secret or a client certificate too: see If.
type Proxies struct {
	prefixes []netip.Prefix
	trust    func(netip.Addr) bool
	hops     int
	unix     bool
	cond     func(*http.Request) bool
	errs     []error
}

// TrustedProxies trusts the given addresses and prefixes, in the forms that [ParsePrefix] reads.
// The word "unix" trusts peers on unix sockets, which have no address. A prefix that contains every
// address is a mistake, as are prefixes that do so together.
func TrustedProxies(prefixes ...string) Proxies {
	var p Proxies
	for _, s := range prefixes {
		if s == "unix" {
			p.unix = true
			continue
		}
		prefix, err := parsePrefix(s)
		if err == nil && prefix.Bits() == 0 {
			err = fmt.Errorf("%q trusts everybody, so every client could choose its address: "+
				"want the proxies' own prefixes", s)
		}
		if err == nil && prefix.IsSingleIP() && prefix.Addr().IsUnspecified() {
			err = fmt.Errorf("%q is no address of a proxy: want the proxies' own addresses", s)
		}
		if err != nil {
			p.errs = append(p.errs, fmt.Errorf("clientip: trusted proxy %w", err))
			continue
		}
		p.prefixes = append(p.prefixes, prefix)
	}
	if len(p.errs) == 0 && containsAll(outermost(slices.Clone(p.prefixes))) {
		p.errs = append(p.errs, errors.New("clientip: the trusted proxies together are everybody, "+
			"so every client could choose its address: want the proxies' own prefixes"))
	}
	return p
}

// TrustedHops trusts the nearest n hops, from 1 to 63, with any addresses. The connection's peer is
// the first hop. Use it only if clients cannot reach the service except through all n proxies.
func TrustedHops(n int) Proxies {
	p := Proxies{hops: n}
	if n < 1 || n >= maxHops {
		p.errs = []error{fmt.Errorf("clientip: TrustedHops(%d): want 1 to %d", n, maxHops-1)}
	}
	return p
}

// TrustedProxiesFunc trusts the addresses for which trusted returns true. Use it for a set that
// changes while the service runs. The address is canonical. The function must be safe for
// concurrent use. If it panics, [Source.Addr] panics too.
func TrustedProxiesFunc(trusted func(netip.Addr) bool) Proxies {
	p := Proxies{trust: trusted}
	if trusted == nil {
		p.errs = []error{errors.New("clientip: TrustedProxiesFunc(nil): want a function")}
	}
	return p
}

// If returns a copy of p that trusts hops only in requests for which cond returns true. For other
// requests the connection's peer is the client. A second If replaces the first condition. The
// function must be safe for concurrent use. If it panics, [Source.Addr] panics too.
func (p Proxies) If(cond func(*http.Request) bool) Proxies {
	p.cond = cond
	if cond == nil {
		p.errs = append(slices.Clip(p.errs), errors.New("clientip: Proxies.If(nil): want a function"))
	}
	return p
}

// check returns the mistakes in p, which is to report in the named field.
func (p *Proxies) check(name string) []error {
	if len(p.errs) == 0 && len(p.prefixes) == 0 && p.trust == nil && p.hops == 0 && !p.unix {
		return []error{fmt.Errorf("clientip: no trusted proxies for %s: "+
			"want TrustedProxies with the proxies' prefixes, or TrustedHops", name)}
	}
	return p.errs
}

// vouch reports whether the peer of r is trusted. The address of a peer on a unix socket is
// invalid.
func (p *Proxies) vouch(r *http.Request, peer netip.Addr) bool {
	if p.cond != nil && !p.cond(r) {
		return false
	}
	if peer.IsValid() {
		return p.hops > 0 || p.trusts(peer, 0)
	}
	return (p.unix || p.hops > 0) && isUnix(r.RemoteAddr)
}

// trusts reports whether addr is a trusted hop. The hop before it is number hop, and is trusted.
func (p *Proxies) trusts(addr netip.Addr, hop int) bool {
	if p.hops > 0 {
		return hop < p.hops
	}
	if p.trust != nil {
		return p.trust(addr)
	}
	for _, prefix := range p.prefixes {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}
