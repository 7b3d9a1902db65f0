package ratelimit

import (
	"cmp"
	"net/http"
	"sync/atomic"

	"github.com/ratelimit-go/ratelimit/clientip"
	"github.com/ratelimit-go/ratelimit/internal/keyer"
	"github.com/ratelimit-go/ratelimit/internal/listed"
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

	entries atomic.Pointer[listed.Set]
}

// Replace replaces the entries of l by the given addresses, CIDR prefixes and keys, at once for all
// requests from the next one on. Keys that are not addresses are found only if l has a Key. The
// error joins one error for each mistake. Then nothing is replaced.
func (l *List) Replace(prefixes []string, keys ...Key) error {
	fresh, err := listed.NewSet(prefixes, keys)
	if err == nil {
		l.entries.Store(fresh)
	}
	return err
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
	if e := l.entries.Load(); e != nil {
		return e.Find(r, cmp.Or(l.ClientIP, src), l.Key)
	}
	return Key{}, nil
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
