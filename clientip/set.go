package clientip

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// A Set is a set of addresses and prefixes. It is immutable and safe for concurrent use. The zero
// Set is empty.
type Set struct {
	prefixes []netip.Prefix // ascending, none within another
}

// NewSet returns the Set of the given addresses and CIDR prefixes, as [ParsePrefix] reads them. The
// error joins one error for each text that is not valid, or that contains all addresses. Texts that
// do so together are a mistake too.
func NewSet(texts ...string) (Set, error) {
	var errs []error
	prefixes := make([]netip.Prefix, 0, len(texts))
	for i, s := range texts {
		p, err := parsePrefix(s)
		if err == nil && p.Bits() == 0 {
			err = fmt.Errorf("%q contains all clients: want prefixes of some", s)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("clientip: prefix %d: %w", i, err))
			continue
		}
		prefixes = append(prefixes, p)
	}
	s := Set{outermost(prefixes)}
	v4, v6 := netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	if len(errs) == 0 && (covers(s.prefixes, v4) || covers(s.prefixes, v6)) {
		errs = append(errs, errors.New("clientip: the prefixes together contain all clients: "+
			"want prefixes of some"))
	}
	return s, errors.Join(errs...)
}

// outermost returns prefixes in order, without prefixes that are within another.
func outermost(prefixes []netip.Prefix) []netip.Prefix {
	slices.SortFunc(prefixes, func(a, b netip.Prefix) int {
		if c := a.Addr().Compare(b.Addr()); c != 0 {
			return c
		}
		return a.Bits() - b.Bits() // the wider one first
	})
	outer := prefixes[:0]
	for _, p := range prefixes {
		if len(outer) == 0 || !outer[len(outer)-1].Contains(p.Addr()) {
			outer = append(outer, p)
		}
	}
	return slices.Clip(outer)
}

// Contains reports whether addr, in the form that [Canonical] returns, is in s. It takes a binary
// search and allocates nothing.
func (s Set) Contains(addr netip.Addr) bool {
	i, found := slices.BinarySearchFunc(s.prefixes, addr, func(p netip.Prefix, a netip.Addr) int {
		return p.Addr().Compare(a)
	})
	return found || i > 0 && s.prefixes[i-1].Contains(addr)
}
