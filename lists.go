package ratelimit

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"sync/atomic"

	"github.com/ratelimit-go/ratelimit/clientip"
	"github.com/ratelimit-go/ratelimit/internal/keyer"
	"github.com/ratelimit-go/ratelimit/internal/report"
)

// A List is a set of clients, by address and by [Key], that can be replaced while requests are
// served. It is for [Config].Allow and [Config].Deny and, by its method Contains, for the Skip of a
// [Rule]. The zero List is empty.
//
// A look-up is a binary search among addresses and a look-up of each key. It allocates nothing. A
// List must not be copied or changed, except by Replace, once it is in use. It is safe for
// concurrent use.
type List struct {
	_ [0]func()

	// ClientIP says how the address of a client is found. The zero value means Config.ClientIP for
	// the lists of a Config, and the peer of the connection for Contains.
	ClientIP clientip.Source
	// Key, if non-nil, finds another key of the request to look up, such as [ByUser].
	Key Keyer

	entries atomic.Pointer[entries]
}

// entries are what a List holds. They are immutable.
type entries struct {
	addrs clientip.Set
	keys  map[Key]struct{}
}

// maxListed is how many prefixes, and how many keys, a List can hold.
const maxListed = 1_000_000

// Replace replaces the entries of l by the given addresses, CIDR prefixes and keys, at once for all
// requests from the next one on. Keys that are not addresses are found only if l has a Key. The
// error joins one error for each mistake. Then nothing is replaced.
func (l *List) Replace(prefixes []string, keys ...Key) error {
	if n := max(len(prefixes), len(keys)); n > maxListed {
		return fmt.Errorf("ratelimit: a list of %d entries: want at most %d", n, maxListed)
	}
	fresh := &entries{keys: make(map[Key]struct{}, len(keys))}
	addrs, err := clientip.NewSet(prefixes...)
	errs := []error{err}
	for i, k := range keys {
		if k.IsZero() {
			errs = append(errs, fmt.Errorf("ratelimit: key %d: the zero Key, which identifies no client", i))
		}
		fresh.keys[k] = struct{}{}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	fresh.addrs = addrs
	l.entries.Store(fresh)
	return nil
}

// Contains reports whether r comes from a client on l. If neither its address nor its key can be
// found, it does not.
func (l *List) Contains(r *http.Request) bool {
	k, _ := l.find(r, clientip.Source{})
	return !k.IsZero()
}

// find returns the key by which the client of r is on l, or the zero Key. If l has no ClientIP, it
// uses src. The error comes from a function of ClientIP or Key.
func (l *List) find(r *http.Request, src clientip.Source) (Key, error) {
	e := l.entries.Load()
	if e == nil {
		return Key{}, nil
	}
	if !l.ClientIP.IsZero() {
		src = l.ClientIP
	}
	var addr netip.Addr
	errAddr := report.Safely(func() (err error) { addr, err = src.Addr(r); return err })
	if errAddr == nil {
		k := PrefixKey(src.Prefix(addr))
		if _, ok := e.keys[k]; ok || e.addrs.Contains(addr) {
			return k, nil
		}
	}
	var errKey error
	if l.Key != nil && len(e.keys) > 0 {
		var k Key
		errKey = report.Safely(func() (err error) { k, err = keyer.Bind(l.Key, src).Key(r); return err })
		if _, ok := e.keys[k]; ok && errKey == nil {
			return k, nil
		}
	}
	return Key{}, errors.Join(listError("ClientIP", errAddr), listError("Key", errKey))
}

// listError returns err of the named field, unless it only says that there is no key.
func listError(field string, err error) error {
	if err == nil || errors.Is(err, ErrNoKey) || errors.Is(err, clientip.ErrNoAddr) {
		return nil
	}
	return fmt.Errorf("ratelimit: list: %s: %w", field, err)
}

func (l *List) check(m *mistakes, field string) {
	if l == nil {
		return
	}
	for _, err := range keyer.Check(keyer.Addr{Source: l.ClientIP}) {
		m.add(field+".ClientIP", err)
	}
	if l.Key != nil {
		for _, err := range keyer.Check(l.Key) {
			m.add(field+".Key", err)
		}
	}
}
