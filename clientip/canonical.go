package clientip

import (
	"fmt"
	"net/netip"
)

var (
	firstMapped = netip.MustParseAddr("::ffff:0.0.0.0")
	nat64       = [12]byte{0, 0x64, 0xff, 0x9b} // the first 96 bits
)

// Canonical returns the one form of addr in which this package compares addresses. It has no zone.
// An IPv4-mapped address (::ffff:0:0/96) and a NAT64 address (64:ff9b::/96, RFC 6052) are replaced
// by the IPv4 address that they carry. An invalid addr stays invalid.
func Canonical(addr netip.Addr) netip.Addr {
	if addr.Is4() {
		return addr
	}
	addr = addr.Unmap().WithZone("")
	if b := addr.As16(); addr.Is6() && [12]byte(b[:12]) == nat64 {
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return addr
}

// containsAll reports whether prefixes, in ascending order and none within another, contain all
// addresses of IPv4, or all global unicast addresses of IPv6 (2000::/3).
func containsAll(prefixes []netip.Prefix) bool {
	v4, v6 := netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("2000::/3")
	return covers(prefixes, v4) || covers(prefixes, v6)
}

// covers reports whether prefixes contain all of whole.
func covers(prefixes []netip.Prefix, whole netip.Prefix) bool {
	next := whole.Addr()
	for _, p := range prefixes {
		if p.Contains(next) {
			if next = last(p).Next(); !whole.Contains(next) {
				return true
			}
		}
	}
	return false
}

// last returns the last address of p.
func last(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	addr, _ := netip.AddrFromSlice(b)
	return addr
}

// ParsePrefix reads an address, or a prefix in CIDR notation, and returns the prefix of the
// [Canonical] addresses in it. An address is a prefix of its full length. Bits after the prefix are
// cleared. An IPv4-mapped or NAT64 prefix shorter than 96 bits is an error, because it contains no
// canonical address of an IPv4 client. The error quotes s and says what to write instead.
func ParsePrefix(s string) (netip.Prefix, error) {
	p, err := parsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("clientip: %w", err)
	}
	return p, nil
}

// parsePrefix is ParsePrefix with errors that can follow other text.
func parsePrefix(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil {
		addr = Canonical(addr)
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("%q: want an address or a prefix such as 10.0.0.0/8", s)
	}
	if matchesNothing(p) {
		form := "IPv4-mapped"
		if isNAT64(p) {
			form = "NAT64"
		}
		return p, fmt.Errorf("%q: an %s prefix shorter than 96 bits matches no IPv4 client: "+
			"want %s", s, form, meant(p))
	}
	if addr := Canonical(p.Addr()); addr.Is4() && p.Addr().Is6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(addr, p.Bits()-96)
	}
	return p.Masked(), nil
}

// matchesNothing reports whether p is meant for IPv4-mapped addresses, but is too short to become
// an IPv4 prefix. It is meant for them if its address is one of them. It is also meant for them if
// it contains all of them and no other address in use. Only a prefix of at most 80 bits contains
// ::1 too.
func matchesNothing(p netip.Prefix) bool {
	if p.Bits() == 0 || p.Bits() >= 96 {
		return false
	}
	return p.Addr().Is4In6() || p.Bits() > 80 && p.Contains(firstMapped) || isNAT64(p)
}

// isNAT64 reports whether p contains NAT64 addresses and no other address in use. Its first 48 bits
// are theirs.
func isNAT64(p netip.Prefix) bool {
	b := p.Addr().As16()
	return p.Addr().Is6() && p.Bits() >= 48 && [6]byte(b[:6]) == [6]byte(nat64[:6])
}

// meant returns the IPv4 prefix to write instead of p, or an example if p does not say one.
func meant(p netip.Prefix) string {
	if addr := p.Addr().Unmap(); addr.Is4() && p.Bits() <= 32 {
		return netip.PrefixFrom(addr, p.Bits()).Masked().String()
	}
	return "an IPv4 prefix such as 10.0.0.0/8"
}
