package ratelimit

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"sync/atomic"
)

// A List is a set of clients, by address and by [Key], that can be replaced while requests are
// served. It is for [Config].Allow and [Config].Deny and, by its method Contains, for the
// Skip of a [Rule]. The zero List is empty, and knows a client by the address of the connection.
//
// Looking a client up is a binary search among addresses and a look-up of each key, and allocates
// nothing. A List must not be copied once it is in use. It is safe for concurrent use, but
// its fields must not be changed any more.
type List struct {
	_ [0]func()

	// Address says how the address of a request is found. It should be that by which rules
	// count: if it trusts no proxies, no header is read.
	Address ClientIP
	// Key, if not nil, says who else a request comes from, such as [ByUser].
	Key Keyer

	entries atomic.Pointer[entries]
}

// entries are what a List holds. They are immutable.
type entries struct {
	prefixes []netip.Prefix // ascending, none within another
	keys     map[Key]struct{}
}

// maxListed bounds the prefixes, and the keys, of a List.
const maxListed = 1_000_000

// Replace makes the given addresses, CIDR prefixes and keys the entries of l, in the place of those
// that it has, at once for all requests from the next one on. Keys that are not addresses
// are found only if l has a Key.
//
// The error joins one for each mistake; then nothing is replaced.
func (l *List) Replace(prefixes []string, keys ...Key) error {
	var errs []error
	if n := max(len(prefixes), len(keys)); n > maxListed {
		return fmt.Errorf("ratelimit: a list of %d entries: want at most %d", n, maxListed)
	}
	fresh := &entries{keys: make(map[Key]struct{}, len(keys))}
	for i, s := range prefixes {
		p, err := parsePrefix(s)
		if err == nil && p.Bits() == 0 {
			err = fmt.Errorf("%q is everybody: want prefixes of some", s)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("ratelimit: prefix %d: %w", i, err))
			continue
		}
		fresh.prefixes = append(fresh.prefixes, p)
	}
	for i, k := range keys {
		if k.IsZero() {
			errs = append(errs, fmt.Errorf("ratelimit: key %d: the zero Key, which is nobody", i))
		}
		fresh.keys[k] = struct{}{}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	fresh.prefixes = outermost(fresh.prefixes)
	l.entries.Store(fresh)
	return nil
}

// outermost returns prefixes in order, without those that are within another.
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

// Contains reports whether r comes from a client on l. A request whose address and key cannot be
// found is not from one.
func (l *List) Contains(r *http.Request) bool {
	key, _ := l.find(r)
	return !key.IsZero()
}

// find returns the key by which the client of r is on l, or the zero Key. The error is that of the
// functions of Address or Key, if they have failed.
func (l *List) find(r *http.Request) (Key, error) {
	e := l.entries.Load()
	if e == nil {
		return Key{}, nil
	}
	addr, errAddr := safeAddr(l.Address, r)
	if errAddr == nil {
		key := l.Address.KeyOf(addr)
		if _, ok := e.keys[key]; ok || e.has(addr) {
			return key, nil
		}
	}
	var errKey error
	if l.Key != nil && len(e.keys) > 0 {
		var key Key
		key, errKey = safeKey(l.Key, r)
		if _, ok := e.keys[key]; ok && errKey == nil {
			return key, nil
		}
	}
	return Key{}, errors.Join(failure("Address", errAddr), failure("Key", errKey))
}

// failure returns err, of the named field, unless it is that there is no identity.
func failure(field string, err error) error {
	if err == nil || errors.Is(err, ErrNoIdentity) {
		return nil
	}
	return fmt.Errorf("ratelimit: list: %s: %w", field, err)
}

// safeAddr is c.Addr, where the functions of Proxies may panic.
func safeAddr(c ClientIP, r *http.Request) (addr netip.Addr, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return c.Addr(r)
}

// has reports whether addr, which is canonical, is within a prefix.
func (e *entries) has(addr netip.Addr) bool {
	i, found := slices.BinarySearchFunc(e.prefixes, addr, func(p netip.Prefix, a netip.Addr) int { return p.Addr().Compare(a) })
	return found || i > 0 && e.prefixes[i-1].Contains(addr)
}

func (l *List) check(m *mistakes, field string) {
	if l == nil {
		return
	}
	for _, err := range l.Address.check() {
		m.add(field+".Address", err)
	}
	if l.Key != nil {
		for _, err := range checkKeyer(l.Key) {
			m.add(field+".Key", err)
		}
	}
}

// listed returns the key by which the client of r is on list, which may be nil, or the zero Key.
func (l *Limiter) listed(r *http.Request, list *List) Key {
	if list == nil {
		return Key{}
	}
	key, err := list.find(r)
	if err != nil {
		l.report(r.Context(), err)
	}
	return key
}

// denies answers a request from a client on the list Deny, and reports whether it is one.
func (l *Limiter) denies(w http.ResponseWriter, r *http.Request) bool {
	key := l.listed(r, l.cfg.Deny)
	if key.IsZero() || !l.listed(r, l.cfg.Allow).IsZero() {
		return false
	}
	l.refuse(w, r, &verdict{refused: refusedBy{key: key, reason: ReasonDenied}})
	return true
}
