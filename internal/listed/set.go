// Package listed finds whether the client of a request is in a set of addresses and keys.
package listed

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

// A Set is a set of clients. It is immutable.
type Set struct {
	addrs clientip.Set
	keys  map[key.Key]struct{}
}

// most is how many prefixes, and how many keys, a Set can hold.
const most = 1_000_000

// NewSet returns the Set of the given addresses, CIDR prefixes and keys. The error joins one error
// for each mistake.
func NewSet(prefixes []string, keys []key.Key) (*Set, error) {
	if n := max(len(prefixes), len(keys)); n > most {
		return nil, fmt.Errorf("ratelimit: a list of %d entries: want at most %d", n, most)
	}
	s := &Set{keys: make(map[key.Key]struct{}, len(keys))}
	addrs, err := clientip.NewSet(prefixes...)
	errs := []error{err}
	for i, k := range keys {
		if k.IsZero() {
			errs = append(errs, fmt.Errorf("ratelimit: key %d: the zero Key, which identifies no client", i))
		}
		s.keys[k] = struct{}{}
	}
	s.addrs = addrs
	return s, report.Join(errs...)
}

// Check returns the mistakes in by, which finds keys. If by is nil, keys in s that are no addresses
// are a mistake. A nil s has none.
func (s *Set) Check(by keyer.Keyer) []error {
	switch {
	case by != nil:
		return keyer.Check(by)
	case s == nil:
		return nil
	}
	for k := range s.keys {
		if key.KindOf(k) != key.Address {
			return []error{fmt.Errorf("nil, so that %v is never found: want for example ByUser", k)}
		}
	}
	return nil
}

// Find returns the key by which the client of r is in s, or the zero Key. The key is the address
// that src finds, or the key that by finds, which can be nil. The error comes from a function of
// the user.
func (s *Set) Find(r *http.Request, src clientip.Source, by keyer.Keyer) (key.Key, error) {
	var addr netip.Addr
	errAddr := report.Safely(func() (err error) { addr, err = src.Addr(r); return err })
	if errAddr == nil {
		prefix := src.Prefix(addr)
		k := key.Addr(prefix.Addr(), prefix.Bits())
		if _, ok := s.keys[k]; ok || s.addrs.Contains(addr) {
			return k, nil
		}
	}
	var errKey error
	if by != nil && len(s.keys) > 0 {
		var k key.Key
		errKey = report.Safely(func() (err error) { k, err = keyer.Bind(by, src).Key(r); return err })
		if _, ok := s.keys[k]; ok && errKey == nil {
			return k, nil
		}
	}
	return key.Key{}, errors.Join(listError("ClientIP", errAddr), listError("Key", errKey))
}

// listError returns err of the named field, unless it only says that there is no key.
func listError(field string, err error) error {
	if err == nil || keyer.IsMissing(err) {
		return nil
	}
	return fmt.Errorf("ratelimit: list: %s: %w", field, err)
}
