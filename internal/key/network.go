package key

import "encoding/binary"

// Network returns the network of the address that k is, or that is a part of k: /24 and /16 of an
// IPv4 address, /48 and /32 of an IPv6 address. Two keys have equal networks if their addresses
// have, and no narrow network equals a wide one. It returns false if k does not show an address: it
// is something else, or a hash.
func Network(k Key) (narrow, wide Key, ok bool) {
	switch Kind(k.head) {
	case Address:
		if byte(k.head>>8) == 4 {
			return Key{head: k.head &^ (0xff << 40)}, Key{head: k.head &^ (0xffff << 32), tail: 1}, true
		}
		head := k.head &^ (0xff << 16) // keys of one network can have different prefix lengths
		return Key{head: head, mid: k.mid & 0xff}, Key{head: head &^ (0xff << 56), tail: 1}, true
	case Joined:
		b := k.Bytes()
		for data := b[header : header+int(b[1])]; len(data) >= header; {
			var part [Size]byte
			n := copy(part[:], data[:header+int(data[1])])
			if part[0] == byte(Address) {
				return Network(of(&part))
			}
			data = data[n:]
		}
	}
	return Key{}, Key{}, false
}

// Group returns a key that stands for many keys. No client has it, and it has no text.
func Group(n uint64) Key {
	var b [Size]byte
	b[0] = 0xff
	binary.LittleEndian.PutUint64(b[8:], n)
	return of(&b)
}
