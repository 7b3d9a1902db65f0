package clientip

import (
	"net/netip"
	"strings"
)

// parsePeer reads an IPv4 address and a port as net/http writes them. It returns false for any
// other text, even if the text is an address. It is written by hand because every request needs it:
// [netip.ParseAddrPort] takes twice as long (BenchmarkParsePeer), and made the whole decision of a
// limiter 50 ns slower, or 12 %.
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

// digits returns the number at the beginning of s, of at most 5 digits and without a leading zero,
// and its length. The length is 0 if there is no such number.
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

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// parseHost reads an address that may have a port, brackets or a zone, and makes it canonical.
func parseHost(s string) (netip.Addr, bool) {
	if b, ok := parsePeer(s); ok {
		return netip.AddrFrom4(b), true
	}
	if isUnix(s) {
		return netip.Addr{}, false
	}
	addr, err := parseAny(s)
	if err != nil {
		return netip.Addr{}, false
	}
	return Canonical(addr), true
}

// parseAny reads an address, with a port or without, by package netip. Usual texts
// succeed at the first function that is called: an error of netip would be allocated.
func parseAny(s string) (netip.Addr, error) {
	if s[0] != '[' {
		if addr, err := netip.ParseAddr(s); err == nil {
			return addr, nil
		}
	} else if s[len(s)-1] == ']' && strings.IndexByte(s, ':') > 0 {
		return netip.ParseAddr(s[1 : len(s)-1])
	}
	hostPort, err := netip.ParseAddrPort(s)
	return hostPort.Addr(), err
}

// isUnix reports whether addr is how net/http writes the peer of a unix socket. No such text is an
// IP address.
func isUnix(addr string) bool { return addr == "" || addr[0] == '@' || addr[0] == '/' }
