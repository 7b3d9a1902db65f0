package ratelimit

import (
	"cmp"
	"net/http"
	"net/netip"
	"sync/atomic"

	"github.com/ratelimit-go/ratelimit/clientip"
	"github.com/ratelimit-go/ratelimit/internal/key"
	"github.com/ratelimit-go/ratelimit/internal/keyer"
	"github.com/ratelimit-go/ratelimit/internal/listed"
)

// Key is what a rule counts by: a client address, a user, or anything else. It is a comparable
// value of 24 bytes. Text that does not fit is hashed. A Key has a kind, so the user "192.0.2.1" is
// never the address 192.0.2.1. The zero Key identifies no client. The methods of a Key are
//
//	IsZero() bool                            // whether it identifies no client
//	String() string                          // text for people and logs, such as "user:alice"
//	MarshalText, UnmarshalText, LogValue     // the same text for JSON and log/slog
//	AppendBinary(b []byte) ([]byte, error)   // the form in a Store, 24 bytes at most
type Key = key.Key

// UserKey returns the Key of the user that authentication knows as id. An empty id gives the zero
// Key. Pass what authentication returned, not what the client typed: letter case and spaces are
// significant, so each spelling would have a bucket of its own.
func UserKey(id string) Key { return key.Text(key.User, id) }

// AddrKey returns the Key of a client address: an IPv4 address whole, an IPv6 address by its /64
// prefix, as [ByClientIP] does. IPv4-mapped and NAT64 (64:ff9b::/96) addresses are the IPv4 address
// that they carry, and a zone is dropped. An invalid address gives the zero Key.
func AddrKey(addr netip.Addr) Key { return PrefixKey(clientip.Source{}.Prefix(addr)) }

// PrefixKey returns the Key of all addresses of a client, as [clientip.Source.Prefix] returns them.
// An IPv4 network has the Key of its first address. The zero Prefix gives the zero Key.
func PrefixKey(prefix netip.Prefix) Key { return key.Addr(prefix.Masked().Addr(), prefix.Bits()) }

// ValueKey returns a Key of the caller's own kind, such as a tenant, an order or a phone number.
// Equal values under different names are different Keys. An empty value gives the zero Key.
func ValueKey(name, value string) Key { return key.Pair(name, value) }

// JoinKeys returns one Key for the combination of several, in their order. It is the zero Key if
// any of them is, or if there is no Key.
func JoinKeys(keys ...Key) Key { return key.Join(keys...) }

// ParseKey returns the Key whose String is text, such as "user:alice", "addr:192.0.2.1" or
// "tenant:acme". It also accepts the full text of a Key that String prints as a hash. The error
// says what is wrong with text.
func ParseKey(text string) (Key, error) { return key.Parse(text) }

// A Keyer says who made a request.
//
// Key must be safe for concurrent use and must not consume the body of the request. It returns
// [ErrNoKey], or the zero Key, if the request has no such key. Rule.OnMissingKey then decides. Any
// other error, and a panic, is reported to Hooks.Error and then treated like a missing key.
type Keyer interface {
	Key(r *http.Request) (Key, error)
}

// KeyFunc is a function as a [Keyer]. It cannot call ByClientIP().Key, which needs a rule: join
// both by [AllOf] or [FirstOf], or call the Key of [ByIP].
type KeyFunc func(r *http.Request) (Key, error)

// Key returns f(r).
func (f KeyFunc) Key(r *http.Request) (Key, error) { return f(r) }

// ErrNoKey means that a request does not carry the key that a [Keyer] looks for.
var ErrNoKey = keyer.ErrNoKey

// ByClientIP counts by the address of the client, found as Config.ClientIP says. A rule without a
// Key counts by it. IPv6 clients are counted by /64 unless Config.ClientIP says otherwise.
func ByClientIP() Keyer { return keyer.ClientIP{} }

// ByIP counts by the address of the client, found as src says instead of as Config.ClientIP says.
func ByIP(src clientip.Source) Keyer { return keyer.Addr{Source: src} }

// ByUser counts by the name or number of a user, which user returns. "" means that the request has
// none. Use it behind authentication, and return what authentication established. If user returns
// what the client merely claims, one client can make itself a thousand users. For a login form,
// where there is only a claim, see package login.
func ByUser(user func(r *http.Request) string) Keyer {
	return keyer.Text{Name: "ByUser", Text: user, Make: UserKey}
}

// ByValue is [ByUser] for a key of your own kind, such as a tenant: see [ValueKey].
func ByValue(name string, value func(r *http.Request) string) Keyer {
	return keyer.Text{Name: "ByValue", Text: value, Make: func(s string) Key { return ValueKey(name, s) }}
}

// ByHeader counts by the value of a header field, such as an API key that an outer handler has
// checked. The value is hashed, so LimitsFor cannot look it up: to choose a plan, use [ByValue]
// with the id of the key. A missing field, an empty field and several lines are no key. If no
// handler checks the field, or if it has several spellings, as "Bearer K" and "bearer K", a client
// can have as many keys as it likes: see [ByUser].
func ByHeader(name string) Keyer { return keyer.Header(http.CanonicalHeaderKey(name)) }

// ByCookie counts by the value of a cookie, such as a session that an outer handler has checked.
// The value is hashed. A missing cookie, an empty cookie and several of that name are no key.
func ByCookie(name string) Keyer { return keyer.Cookie(name) }

// ByPattern counts by the [http.ServeMux] pattern that the request matched, or by the pattern of
// Config.Routes. Around the mux a rule outside of Routes has no key, because there is no pattern
// yet. It never counts by the path, because a client can make as many paths as it likes.
func ByPattern() Keyer { return keyer.Pattern{} }

// Global counts all requests together under the given name.
func Global(name string) Keyer { return keyer.Global(ValueKey("global", name)) }

// FirstOf is the first key that the request has, such as the user or else the address. An error
// other than [ErrNoKey] ends the search.
func FirstOf(keyers ...Keyer) Keyer { return keyer.FirstOf(keyers) }

// AllOf is all keys together, such as each user on each route. If the request lacks one of them, it
// lacks the combination.
func AllOf(keyers ...Keyer) Keyer { return keyer.AllOf(keyers) }

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
	for _, err := range l.entries.Load().Check(l.Key) {
		m.add(field+".Key", err)
	}
}
