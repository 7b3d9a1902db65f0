// Package key is the 24-byte Key that limits count by, its text, and its keyed hash.
package key

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"strconv"
)

// A Key is what a limit counts by, such as a user or an address. It is a small comparable value:
// copy it freely, or use it as a map key. It is 24 bytes long for any input. Text that does not fit
// is replaced by a SHA-256 hash of its kind and text, cut to 176 bits.
//
// A Key has a kind, so the user "192.0.2.1" is never the address 192.0.2.1. Its parts are prefixed
// with their length, so two different identities never make the same Key.
//
// The zero Key identifies no client. It is never stored.
type Key struct {
	// The kind (with hashedFlag), the length of the data, and the data: 24 bytes, little-endian.
	// They are words and not an array, so that a Key is passed in registers: reading back bytes
	// that were just written one by one costs more than taking a lock.
	head, mid, tail uint64
}

// Size is the length of the longest binary form of a Key, in bytes.
const Size = 24

const (
	header     = 2
	inline     = Size - header
	hashedFlag = 0x80
)

// A Kind is what a Key identifies. Kinds are written to stores, so a number is never reused.
type Kind byte

// The kinds of Key.
const (
	None Kind = iota
	Address
	User
	Header
	Cookie
	Pattern
	Value
	Joined
	Missing
)

// Text returns the Key of one text. Empty text gives the zero Key.
func Text(kind Kind, s string) Key {
	n := len(s)
	switch {
	case n == 0:
		return Key{}
	case n > inline:
		return Hashed(kind, "", s)
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

// Pair returns the Key of a value under a name of the caller's choice. An empty value gives the
// zero Key.
func Pair(name, value string) Key {
	if value == "" {
		return Key{}
	}
	n := 1 + len(name) + len(value)
	if n > inline {
		return Hashed(Value, name, value)
	}
	b := [Size]byte{byte(Value), byte(n), byte(len(name))}
	end := copy(b[header+1:], name)
	copy(b[header+1+end:], value)
	return of(&b)
}

// Hashed returns the Key of text that is too long to keep, or too secret. The length of the name
// goes first, so that name and value cannot trade letters. No secret is mixed in: every instance
// of a service must find the same Key, and 176 bits of SHA-256 allow no collision on purpose.
func Hashed(kind Kind, name, value string) Key {
	var buf [512]byte
	b := strconv.AppendInt(buf[:0], int64(len(name)), 10)
	b = append(b, ':')
	b = append(b, name...)
	if len(value) > 16*Size {
		// A long value would not fit into buf and be copied twice. Its digest does.
		sum := sha256.Sum256([]byte(value))
		return digest(kind, sha256.Sum256(append(append(b, '#'), sum[:]...)))
	}
	return digest(kind, sha256.Sum256(append(append(b, '='), value...)))
}

// Join returns one Key for several, in their order. It is the zero Key if any of them is, or if
// keys is empty.
func Join(keys ...Key) Key {
	var buf [8 * Size]byte
	b := buf[:0]
	for _, k := range keys {
		if k.IsZero() {
			return Key{}
		}
		b, _ = k.AppendBinary(b)
	}
	switch {
	case len(b) == 0:
		return Key{}
	case len(b) > inline:
		return digest(Joined, sha256.Sum256(b))
	}
	joined := [Size]byte{byte(Joined), byte(len(b))}
	copy(joined[header:], b)
	return of(&joined)
}

// Addr returns the Key of the address of a client: an IPv4 address whole, an IPv6 address by its
// first bits bits. The address must be canonical: no zone, and no IPv4 address in IPv6 form.
func Addr(addr netip.Addr, bits int) Key {
	if !addr.IsValid() {
		return Key{}
	}
	if addr.Is4() {
		b := addr.As4()
		return Key{head: uint64(Address) | 4<<8 | uint64(binary.LittleEndian.Uint32(b[:]))<<16}
	}
	b := [Size]byte{byte(Address), 17, byte(bits)}
	for i, x := range addr.As16() {
		if n := bits - 8*i; n < 8 {
			x &= ^byte(0xff >> max(n, 0))
		}
		b[header+1+i] = x
	}
	return of(&b)
}

// Shared returns the Key that all requests without a key share.
func Shared() Key { return Key{head: uint64(Missing)} }

// IsZero reports whether k is the zero Key.
func (k Key) IsZero() bool { return k == Key{} }

// Valid reports whether k may be stored: it has a kind.
func (k Key) Valid() bool { return byte(k.head) != 0 }

// IsHashed reports whether k holds a hash instead of its text.
func IsHashed(k Key) bool { return Kind(k.head)&hashedFlag != 0 }

// KindOf returns the kind of k.
func KindOf(k Key) Kind { return Kind(k.head) &^ hashedFlag }

// AppendBinary appends the canonical form of k to b, 24 bytes at most. Each Key has one form, and
// each form one Key. A store may keep it. It can contain any byte. The error is always nil.
func (k Key) AppendBinary(b []byte) ([]byte, error) {
	all := k.Bytes()
	return append(b, all[:header+int(all[1])]...), nil
}

// Bytes returns the kind, the length and the data of k, padded with zeros.
func (k Key) Bytes() (b [Size]byte) {
	binary.LittleEndian.PutUint64(b[:], k.head)
	binary.LittleEndian.PutUint64(b[8:], k.mid)
	binary.LittleEndian.PutUint64(b[16:], k.tail)
	return b
}

// of is the inverse of Bytes.
func of(b *[Size]byte) Key {
	return Key{
		head: binary.LittleEndian.Uint64(b[:]),
		mid:  binary.LittleEndian.Uint64(b[8:]),
		tail: binary.LittleEndian.Uint64(b[16:]),
	}
}

func digest(kind Kind, sum [sha256.Size]byte) Key {
	b := [Size]byte{byte(kind) | hashedFlag, inline}
	copy(b[header:], sum[:])
	return of(&b)
}
