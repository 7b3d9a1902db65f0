// Package lists finds clients on immutable lists of addresses, prefixes and keys.
package lists

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"

	"github.com/ratelimit-go/ratelimit/clientip"
	"github.com/ratelimit-go/ratelimit/internal/key"
	"github.com/ratelimit-go/ratelimit/internal/keyer"
	"github.com/ratelimit-go/ratelimit/internal/report"
)

// maxListed is how many prefixes, and how many keys, a List can hold.
const maxListed = 1_000_000

// A List is a set of prefixes and of keys. It is immutable. A nil List is empty.
type List struct {
	addrs clientip.Set
	keys  map[key.Key]struct{}
}

// New returns a List of addresses or CIDR prefixes, and of keys. The error joins one error for each
// mistake.
func New(prefixes []string, keys []key.Key) (*List, error) {
	if n := max(len(prefixes), len(keys)); n > maxListed {
		return nil, fmt.Errorf("ratelimit: a list of %d entries: want at most %d", n, maxListed)
	}
	l := &List{keys: make(map[key.Key]struct{}, len(keys))}
	addrs, err := clientip.NewSet(prefixes...)
	errs := []error{err}
	for i, k := range keys {
		if k.IsZero() {
			errs = append(errs, fmt.Errorf("ratelimit: key %d: the zero Key, which identifies no client", i))
		}
		l.keys[k] = struct{}{}
	}
	l.addrs = addrs
	return l, errors.Join(errs...)
}

// Find returns the key by which the client of r is on l, or the zero Key. It looks up the address
// that src finds, and the key that by finds unless by is nil. The error comes from src or by.
func (l *List) Find(r *http.Request, src clientip.Source, by keyer.Keyer) (key.Key, error) {
	if l == nil {
		return key.Key{}, nil
	}
	var addr netip.Addr
	errAddr := report.Safely(func() (err error) { addr, err = src.Addr(r); return err })
	if errAddr == nil {
		prefix := src.Prefix(addr)
		k := key.Addr(prefix.Addr(), prefix.Bits())
		if _, ok := l.keys[k]; ok || l.addrs.Contains(addr) {
			return k, nil
		}
	}
	var errKey error
	if by != nil && len(l.keys) > 0 {
		var k key.Key
		errKey = report.Safely(func() (err error) { k, err = keyer.Bind(by, src).Key(r); return err })
		if _, ok := l.keys[k]; ok && errKey == nil {
			return k, nil
		}
	}
	return key.Key{}, errors.Join(failure("ClientIP", errAddr), failure("Key", errKey))
}

// failure returns err of the named field, unless it only says that there is no key.
func failure(field string, err error) error {
	if err == nil || errors.Is(err, keyer.ErrNoKey) || errors.Is(err, clientip.ErrNoAddr) {
		return nil
	}
	return fmt.Errorf("ratelimit: list: %s: %w", field, err)
}
