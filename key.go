package ratelimit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"
)

// A Key says who is counted. It is a small comparable value, 24 bytes long
// whatever the client sent, so it can be copied freely, used as a map key and
// stored without a bound on its length: what does not fit is replaced by a
// SHA-256 hash, truncated to 176 bits, of its kind and text.
//
// A Key has a kind, so that the user "192.0.2.1" is never the address 192.0.2.1,
// and its parts are length-prefixed, so that two different identities never
// make one Key.
//
// The zero Key is no identity at all. It is never stored: a request that has no
// other is handled as its [Rule] says in Unidentified.
type Key struct {
	// The kind (with hashedFlag), the length of the data and the data: 24 bytes, little-endian.
	// They are words and not an array, so that a Key is passed in registers: copies of bytes
	// that were just written one by one stall the processor for longer than a lock takes.
	head, mid, tail uint64
}

const (
	keySize    = 24
	keyHeader  = 2
	keyInline  = keySize - keyHeader
	hashedFlag = 0x80
)

// The kinds of key. They are written to stores, so a number is never reused.
const (
	kindNone byte = iota
	kindAddr
	kindUser
	kindHeader
	kindCookie
	kindPattern
	kindNamed
	kindJoined
	kindUnidentified
)

var kindNames = [...]string{
	kindNone: "none", kindAddr: "addr", kindUser: "user", kindHeader: "header", kindCookie: "cookie",
	kindPattern: "pattern", kindNamed: "key", kindJoined: "joined", kindUnidentified: "unidentified",
}

// UserKey returns the Key of the user that authentication knows as id. An empty
// id gives the zero Key.
//
// Pass what authentication returned, not what the client typed: letter case and
// spaces are significant, and each spelling would have a bucket of its own.
func UserKey(id string) Key {
	if id == "" {
		return Key{}
	}
	return textKey(kindUser, id)
}

// AddrKey returns the Key of a client address: an IPv4 address whole, an IPv6
// address by its /64 prefix, as [ByRemoteIP] does. IPv4-mapped and NAT64
// (64:ff9b::/96) addresses are the IPv4 address they carry, and a zone is
// dropped. An invalid address gives the zero Key. For another prefix length
// see [ClientIP.KeyOf].
func AddrKey(addr netip.Addr) Key {
	return addrKey(addr, defaultIPv6Prefix)
}

// NamedKey returns a Key of the caller's own kind: a tenant, an order, a phone
// number. Equal values under different names are different keys. An empty value
// gives the zero Key.
func NamedKey(name, value string) Key {
	if value == "" {
		return Key{}
	}
	return pairKey(kindNamed, name, value)
}

// JoinKeys returns one Key for the combination of several, in their order. It
// is the zero Key if any of them is, or if there are none.
func JoinKeys(keys ...Key) Key {
	var buf [8 * keySize]byte
	b := buf[:0]
	for _, k := range keys {
		if k.IsZero() {
			return Key{}
		}
		b, _ = k.AppendBinary(b)
	}
	if len(b) == 0 {
		return Key{}
	}
	return bytesKey(kindJoined, b)
}

// IsZero reports whether k is the zero Key, which identifies nobody.
func (k Key) IsZero() bool { return k == Key{} }

// AppendBinary appends the canonical form of k to b: at most 24 bytes, one form
// for each Key and one Key for each form. It is what a [Store] keeps. It may
// contain any byte. The error is always nil.
func (k Key) AppendBinary(b []byte) ([]byte, error) {
	all := k.bytes()
	return append(b, all[:keyHeader+int(all[1])]...), nil
}

// keyOf returns the Key of these bytes.
func keyOf(b *[keySize]byte) Key {
	return Key{binary.LittleEndian.Uint64(b[:]), binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:])}
}

// bytes is the inverse of keyOf.
func (k Key) bytes() (b [keySize]byte) {
	binary.LittleEndian.PutUint64(b[:], k.head)
	binary.LittleEndian.PutUint64(b[8:], k.mid)
	binary.LittleEndian.PutUint64(b[16:], k.tail)
	return b
}

func (k Key) kind() byte { return byte(k.head) }

// String returns k as text for logs and for people, such as "addr:192.0.2.1",
// "user:alice" or "header:#5e884898da28". Text is quoted if it contains anything
// but plain printable characters, and hashed identities are cut to 48 bits, so
// the result is safe in a log line but is not an identity to store.
func (k Key) String() string {
	b := k.bytes()
	kind, data := b[0], b[keyHeader:keyHeader+int(b[1])]
	if kind&hashedFlag != 0 {
		return kindName(kind&^hashedFlag) + ":#" + hex.EncodeToString(data[:6])
	}
	switch kind {
	case kindNone, kindUnidentified:
		return kindName(kind)
	case kindAddr:
		return "addr:" + addrText(data)
	case kindNamed:
		n := int(data[0])
		return plainText(string(data[1:1+n])) + ":" + plainText(string(data[1+n:]))
	case kindJoined:
		return joinedText(data)
	}
	return kindName(kind) + ":" + plainText(string(data))
}

func kindName(kind byte) string {
	if int(kind) < len(kindNames) {
		return kindNames[kind]
	}
	return "kind" + strconv.Itoa(int(kind))
}

// joinedText renders the parts of an inline joined key.
func joinedText(data []byte) string {
	var parts []string
	for len(data) >= keyHeader {
		var part [keySize]byte
		n := copy(part[:], data[:keyHeader+int(data[1])])
		parts = append(parts, keyOf(&part).String())
		data = data[n:]
	}
	return strings.Join(parts, "+")
}

// plainText returns s itself if it is printable ASCII without quotes or spaces,
// and quoted otherwise, so that no client can forge a log line.
func plainText(s string) string {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return strconv.QuoteToASCII(s)
		}
	}
	return s
}

// textKey makes a key of one text: inline if it fits, hashed if not.
func textKey(kind byte, s string) Key {
	n := len(s)
	if n > keyInline {
		return hashKey(kind, "", s)
	}
	a, b, c := word(s), word(s[min(8, n):]), word(s[min(16, n):])
	return Key{uint64(kind) | uint64(n)<<8 | a<<16, a>>48 | b<<16, b>>48 | c<<16}
}

// word returns the first 8 bytes of s, or as many as it has, as a little-endian number.
func word(s string) uint64 {
	if len(s) >= 8 {
		return binary.LittleEndian.Uint64([]byte(s))
	}
	w := uint64(0)
	for i := len(s) - 1; i >= 0; i-- {
		w = w<<8 | uint64(s[i])
	}
	return w
}

// pairKey makes a key of a name and a value, the name length-prefixed.
func pairKey(kind byte, name, value string) Key {
	if 1+len(name)+len(value) > keyInline {
		return hashKey(kind, name, value)
	}
	b := [keySize]byte{kind, byte(1 + len(name) + len(value)), byte(len(name))}
	n := copy(b[keyHeader+1:], name)
	copy(b[keyHeader+1+n:], value)
	return keyOf(&b)
}

func bytesKey(kind byte, data []byte) Key {
	if len(data) > keyInline {
		return digestKey(kind, sha256.Sum256(data))
	}
	b := [keySize]byte{kind, byte(len(data))}
	copy(b[keyHeader:], data)
	return keyOf(&b)
}

// hashKey makes a key of text that is too long to keep, or too secret. The
// length of the name goes first, so that name and value cannot trade letters.
// No secret is mixed in: every instance of a service must find the same key,
// and at 176 bits of SHA-256 no collision can be made on purpose.
func hashKey(kind byte, name, value string) Key {
	var buf [512]byte
	b := strconv.AppendInt(buf[:0], int64(len(name)), 10)
	b = append(b, ':')
	b = append(b, name...)
	if len(value) > 16*keySize {
		// A long value would spill out of buf and be copied twice: digest it first.
		sum := sha256.Sum256([]byte(value))
		return digestKey(kind, sha256.Sum256(append(append(b, '#'), sum[:]...)))
	}
	return digestKey(kind, sha256.Sum256(append(append(b, '='), value...)))
}

func digestKey(kind byte, sum [sha256.Size]byte) Key {
	b := [keySize]byte{kind | hashedFlag, keyInline}
	copy(b[keyHeader:], sum[:])
	return keyOf(&b)
}
