package ratelimit

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

const defaultIPv6Prefix = 64

// ClientIP is a [Keyer] that counts by client address. It is an immutable value, made by
// [ByRemoteIP], [ByForwardedFor], [ByForwarded] or [ByIPHeader].
//
// Addresses are decided by their bits: IPv4-mapped and NAT64 (64:ff9b::/96) addresses are
// the IPv4 address they carry, zones are dropped, and IPv6 addresses are counted by
// their /64 prefix, which is what one subscriber has at least (see IPv6Prefix).
//
// The zero ClientIP is ByRemoteIP().
type ClientIP struct {
	at *addressing // nil for the zero value; never changed
}

// addressing is what a ClientIP points to.
type addressing struct {
	header  string // "" reads none
	walk    func(lines []string) lister
	proxies Proxies
	bits    int // 0 means 64
	errs    []error
}

// A lister yields the entries of a forwarding header from right to left. more is false
// when there are none left; text is "" for an entry that is not an address.
type lister interface {
	prev() (text string, more bool)
}

// ByRemoteIP counts by the address of the connection's peer, and reads no header. It
// is right wherever clients connect to the service directly. Behind a proxy it is
// one key for everybody: see [ByForwardedFor].
//
// A peer without an IP address, as on a unix socket, is no identity.
func ByRemoteIP() ClientIP { return ClientIP{} }

// ByForwardedFor counts by the address that trusted proxies report in X-Forwarded-For. Use it
// when every proxy in front appends to that field.
//
// The header is read only if the connection's peer is trusted, over all of its lines, from the
// right: each trusted address vouches for the one before it, and the first that is not
// trusted is the client. Junk, a missing header, a chain too short for [TrustedHops] and a
// chain of nothing but trusted proxies all end in the last address vouched for, or in
// the peer; never in text a client chose.
func ByForwardedFor(p Proxies) ClientIP {
	return forwarded("X-Forwarded-For", p, func(lines []string) lister { return &commaList{lines: lines} })
}

// ByForwarded is [ByForwardedFor] for the Forwarded field of RFC 7239. Obfuscated and unknown
// nodes end the walk as junk does.
func ByForwarded(p Proxies) ClientIP {
	return forwarded("Forwarded", p, func(lines []string) lister { return &forwardedList{commaList{lines: lines, quotes: true}} })
}

// ByIPHeader counts by the address in the named field, such as CF-Connecting-IP, which must
// hold one address in one line and is read only from trusted peers. Make sure that the
// proxy sets the field itself and does not pass on what the client sent.
func ByIPHeader(name string, p Proxies) ClientIP {
	c := forwarded(http.CanonicalHeaderKey(name), p, nil)
	if !isToken(name) {
		c.at.errs = append(c.at.errs, fmt.Errorf("header name %q: want a field name such as CF-Connecting-IP", name))
	}
	if p.hops > 1 {
		c.at.errs = append(c.at.errs, errors.New("ByIPHeader with TrustedHops: the field holds one address; want TrustedProxies or TrustedHops(1)"))
	}
	return c
}

func forwarded(header string, p Proxies, walk func([]string) lister) ClientIP {
	return ClientIP{&addressing{header: header, walk: walk, proxies: p, errs: slices.Clip(p.check(header))}}
}

// IPv6Prefix returns c with IPv6 addresses counted by their first bits bits, from
// 32 to 128.
func (c ClientIP) IPv6Prefix(bits int) ClientIP {
	at := new(addressing)
	if c.at != nil {
		*at = *c.at
	}
	at.bits = bits
	if bits < 32 || bits > 128 {
		at.errs = append(slices.Clip(at.errs), fmt.Errorf("IPv6Prefix(%d): want 32 to 128", bits))
	}
	return ClientIP{at}
}

func (c ClientIP) check() []error {
	if c.at == nil {
		return nil
	}
	return c.at.errs
}

// Key returns the key of the client's address, or [ErrNoIdentity].
func (c ClientIP) Key(r *http.Request) (Key, error) {
	if c.at == nil {
		if addr, ok := parsePeer(r.RemoteAddr); ok {
			return ipv4Key(addr), nil
		}
	}
	addr, err := c.Addr(r)
	if err != nil {
		return Key{}, err
	}
	return c.KeyOf(addr), nil
}

// KeyOf returns the key under which c counts addr, to look up or reset it by hand.
func (c ClientIP) KeyOf(addr netip.Addr) Key {
	if c.at == nil || c.at.bits == 0 {
		return addrKey(addr, defaultIPv6Prefix)
	}
	return addrKey(addr, c.at.bits)
}

// Addr returns the client's address: canonical, but not masked.
func (c ClientIP) Addr(r *http.Request) (netip.Addr, error) {
	peer, ok := parseHost(r.RemoteAddr)
	if c.at != nil {
		if len(c.at.errs) > 0 {
			return netip.Addr{}, fmt.Errorf("ratelimit: %w", errors.Join(c.at.errs...))
		}
		if c.at.header != "" && c.at.proxies.vouches(r, peer) {
			if addr := c.at.reported(r, peer); addr.IsValid() {
				return addr, nil
			}
		}
	}
	if !ok {
		return netip.Addr{}, ErrNoIdentity
	}
	return peer, nil
}

// maxHops bounds the walk: a longer chain is an attack.
const maxHops = 64

// reported returns the address that a trusted peer vouches for, which is the zero Addr
// or peer if it reports none.
func (c *addressing) reported(r *http.Request, peer netip.Addr) netip.Addr {
	lines := r.Header[c.header]
	if c.walk == nil {
		if len(lines) != 1 {
			return peer
		}
		if addr, ok := parseHost(strings.TrimSpace(lines[0])); ok {
			return addr
		}
		return peer
	}
	list, last := c.walk(lines), peer
	for hop := 1; hop <= maxHops; hop++ {
		text, more := list.prev()
		if !more {
			return peer // nothing but proxies, or too short a chain
		}
		addr, ok := parseHost(text)
		if !ok {
			return last
		}
		if !c.proxies.trusts(addr, hop) {
			return addr
		}
		last = addr
	}
	return last
}

// parsePeer reads an IPv4 address and a port as net/http writes them, without a netip.AddrPort. It is
// false for anything else.
func parsePeer(s string) (addr [4]byte, ok bool) {
	for i := range addr {
		n, size := digits(s)
		if size == 0 || size == len(s) || n > 255 || s[size] != "...:"[i] {
			return addr, false
		}
		addr[i], s = byte(n), s[size+1:]
	}
	n, size := digits(s)
	return addr, size > 0 && size == len(s) && n <= 65535
}

// digits returns the number that s begins with, of up to 5 digits without a zero in front, and its size. That
// is 0 if there is none.
func digits(s string) (n, size int) {
	for size < len(s) && size < 5 && isDigit(s[size]) {
		n = n*10 + int(s[size]-'0')
		size++
	}
	if size > 1 && s[0] == '0' {
		return 0, 0
	}
	return n, size
}

// parseHost reads an address, perhaps with a port, brackets or a zone.
func parseHost(s string) (netip.Addr, bool) {
	if b, ok := parsePeer(s); ok {
		return netip.AddrFrom4(b), true
	}
	var addr netip.Addr
	if ap, err := netip.ParseAddrPort(s); err == nil {
		addr = ap.Addr()
	} else {
		if len(s) > 2 && s[0] == '[' && s[len(s)-1] == ']' && strings.IndexByte(s, ':') > 0 {
			s = s[1 : len(s)-1]
		}
		if addr, err = netip.ParseAddr(s); err != nil {
			return netip.Addr{}, false
		}
	}
	return canonicalAddr(addr), true
}

// canonicalAddr returns addr without zone, and as IPv4 if it carries an IPv4 address.
func canonicalAddr(addr netip.Addr) netip.Addr {
	if addr.Is4() {
		return addr
	}
	addr = addr.Unmap().WithZone("")
	if b := addr.As16(); addr.Is6() && [12]byte(b[:12]) == [12]byte{0, 0x64, 0xff, 0x9b} {
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return addr
}

// addrKey returns the key of addr: 4 bytes, or a prefix length and 16 bytes.
func addrKey(addr netip.Addr, ipv6Prefix int) Key {
	if !addr.IsValid() {
		return Key{}
	}
	if addr = canonicalAddr(addr); addr.Is4() {
		return ipv4Key(addr.As4())
	}
	b := [keySize]byte{kindAddr, 17, byte(ipv6Prefix)}
	for i, x := range addr.As16() {
		if n := ipv6Prefix - 8*i; n < 8 {
			x &= ^byte(0xff >> max(n, 0))
		}
		b[keyHeader+1+i] = x
	}
	return keyOf(&b)
}

func ipv4Key(addr [4]byte) Key {
	return Key{head: uint64(kindAddr) | 4<<8 | uint64(binary.LittleEndian.Uint32(addr[:]))<<16}
}

func addrText(data []byte) string {
	if len(data) == 4 {
		return netip.AddrFrom4([4]byte(data)).String()
	}
	addr := netip.AddrFrom16([16]byte(data[1:]))
	if data[0] == 128 {
		return addr.String()
	}
	return netip.PrefixFrom(addr, int(data[0])).String()
}
