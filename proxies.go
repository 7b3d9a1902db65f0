package ratelimit

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
)

// Proxies says which hops of a request may be believed when they report the address of the
// one before them. The zero Proxies trusts nobody, which [New] reports as a mistake.
//
// Trusting an address range trusts everybody who can connect from it. Where a CDN's
// ranges are shared by its customers, add a shared secret or a client certificate
// by If. No ranges come with this package: they would be out of date.
type Proxies struct {
	prefixes []netip.Prefix
	trust    func(netip.Addr) bool
	hops     int
	unix     bool
	cond     func(*http.Request) bool
	errs     []error
}

// TrustedProxies trusts the given addresses and CIDR prefixes. The word "unix" trusts
// peers on unix sockets, which have no address.
func TrustedProxies(prefixes ...string) Proxies {
	var p Proxies
	for _, s := range prefixes {
		if s == "unix" {
			p.unix = true
			continue
		}
		prefix, err := parsePrefix(s)
		if err == nil && prefix.Bits() == 0 {
			err = fmt.Errorf("%q trusts everybody, so every client could choose its address: want the proxies' own prefixes", s)
		}
		if err != nil {
			p.errs = append(p.errs, fmt.Errorf("trusted proxy %w", err))
			continue
		}
		p.prefixes = append(p.prefixes, prefix)
	}
	return p
}

// parsePrefix reads an address or a prefix of addresses as they are after canonicalAddr.
func parsePrefix(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil {
		addr = canonicalAddr(addr)
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(s)
	if err != nil {
		return prefix, fmt.Errorf("%q: want an address or a prefix such as 10.0.0.0/8", s)
	}
	if addr := canonicalAddr(prefix.Addr()); addr.Is4() && prefix.Addr().Is6() && prefix.Bits() >= 96 {
		prefix = netip.PrefixFrom(addr, prefix.Bits()-96)
	}
	return prefix.Masked(), nil
}

// TrustedHops trusts the n nearest hops whatever their addresses, the connection's
// peer counted as the first. It is safe only if the service cannot be reached but
// through all n proxies.
func TrustedHops(n int) Proxies {
	p := Proxies{hops: n}
	if n < 1 || n >= maxHops {
		p.errs = []error{fmt.Errorf("TrustedHops(%d): want 1 to %d", n, maxHops-1)}
	}
	return p
}

// TrustedProxiesFunc trusts the addresses for which trusted returns true. It is for
// sets that change while the service runs, and must be safe for concurrent use.
func TrustedProxiesFunc(trusted func(netip.Addr) bool) Proxies {
	p := Proxies{trust: trusted}
	if trusted == nil {
		p.errs = []error{errors.New("TrustedProxiesFunc(nil): want a function")}
	}
	return p
}

// If returns p with a condition: unless cond reports true for a request, no header of
// it is believed, and the connection's peer is the client.
func (p Proxies) If(cond func(*http.Request) bool) Proxies {
	p.cond = cond
	if cond == nil {
		p.errs = append(p.errs[:len(p.errs):len(p.errs)], errors.New("Proxies.If(nil): want a function"))
	}
	return p
}

func (p Proxies) check(header string) []error {
	if len(p.errs) == 0 && len(p.prefixes) == 0 && p.trust == nil && p.hops == 0 && !p.unix {
		return []error{fmt.Errorf("no trusted proxies for %s: want TrustedProxies with the proxies' prefixes, or TrustedHops", header)}
	}
	return p.errs
}

// vouches reports whether the peer of r, whose address is invalid if it has none, may be believed.
func (p *Proxies) vouches(r *http.Request, peer netip.Addr) bool {
	if p.cond != nil && !p.cond(r) {
		return false
	}
	if peer.IsValid() {
		return p.hops > 0 || p.trusts(peer, 0)
	}
	return (p.unix || p.hops > 0) && isUnix(r.RemoteAddr)
}

// isUnix reports whether addr is how net/http writes the peer of a unix socket.
func isUnix(addr string) bool {
	return addr == "" || addr[0] == '@' || strings.HasPrefix(addr, "/")
}

// trusts reports whether addr, which a hop number of trusted hops away reported, is
// another trusted hop.
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
