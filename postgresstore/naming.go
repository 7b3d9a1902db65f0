package postgresstore

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"

	"github.com/ratelimit-go/ratelimit/store"
)

const tagBytes = 16 // of the hash

// A tag stands for a store.Key. It is a hash, so a table never contains text that a client sent.
type tag [tagBytes]byte

// A name stands for a bucket: a tag, and the ID of the limit. Without its last byte, which is the
// place of the limit in its rule, it is the key of the row that has the bucket.
type name [tagBytes + 8]byte

type naming struct{ secret []byte }

func (n *naming) tag(k store.Key) tag {
	var buf [32]byte
	id, _ := k.AppendBinary(buf[:0]) // the error is always nil
	sum := sha256.Sum256(id)
	if len(n.secret) > 0 {
		mac := hmac.New(sha256.New, n.secret)
		mac.Write(id)
		mac.Sum(sum[:0])
	}
	return tag(sum[:tagBytes])
}

func (t tag) bucket(l *store.Limit) (b name) {
	copy(b[:], t[:])
	binary.BigEndian.PutUint64(b[tagBytes:], l.ID())
	return b
}

// split returns the key of the row that has the bucket, and the place of its limit.
func (b name) split() (row name, place byte) {
	last := len(b) - 1
	place, b[last] = b[last], 0
	return b, place
}

// leases returns the name of the leases of a rule. Index 0 is for no limit.
func (t tag) leases(rule string) (b name) {
	copy(b[:], t[:])
	sum := sha256.Sum256([]byte(rule))
	copy(b[tagBytes:], sum[:8])
	return b
}
