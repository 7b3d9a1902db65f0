package ratelimit

import (
	"net/netip"

	"github.com/ratelimit-go/ratelimit/clientip"
	"github.com/ratelimit-go/ratelimit/internal/key"
)

// Key says who is counted: a client address, a user, or anything else. It is a comparable value of
// 24 bytes. Text that does not fit is hashed. A Key has a kind, so the user "192.0.2.1" is never the
// address 192.0.2.1. The zero Key identifies no client. The methods of a Key are
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
// The zero Prefix gives the zero Key.
func PrefixKey(prefix netip.Prefix) Key { return key.Addr(prefix.Addr(), prefix.Bits()) }

// ValueKey returns a Key of the caller's own kind, such as a tenant, an order or a phone number.
// Equal values under different names are different Keys. An empty value gives the zero Key.
func ValueKey(name, value string) Key { return key.Pair(name, value) }

// JoinKeys returns one Key for the combination of several, in their order. It is the zero Key if
// any of them is, or if there are none.
func JoinKeys(keys ...Key) Key { return key.Join(keys...) }

// ParseKey returns the Key whose String is text, such as "user:alice", "addr:192.0.2.1" or
// "tenant:acme". It also accepts the full text of a Key that String prints as a hash. The error says
// what is wrong with text.
func ParseKey(text string) (Key, error) { return key.Parse(text) }
