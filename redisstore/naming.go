package redisstore

import (
	"crypto/hmac"
	"crypto/sha256"

	"github.com/ratelimit-go/ratelimit/store"
)

const (
	defaultPrefix = "rl"
	maxPrefix     = 64
	tagBytes      = 16 // of the hash
)

// naming makes the names of keys in Redis: PREFIX{TAG}RULE for buckets and PREFIX{TAG}"RULE for
// leases. A limiter accepts no quotes in the name of a rule, so the two never meet.
//
// A Cluster chooses the slot by the tag in braces, so all buckets of a store.Key are together. The
// tag is a hash, so a name never contains text that a client sent. It is binary, because Redis
// keeps every name in memory.
type naming struct {
	prefix string
	secret []byte
}

func newNaming(cfg Config) naming {
	n := naming{prefix: defaultPrefix, secret: append([]byte(nil), cfg.Secret...)}
	if cfg.Prefix != "" {
		n.prefix = cfg.Prefix
	}
	return n
}

// A tag is the hash of a store.Key.
type tag [tagBytes]byte

func (n *naming) tag(k store.Key) tag {
	var buf [32]byte
	id, _ := k.AppendBinary(buf[:0]) // the error is always nil
	sum := sha256.Sum256(id)
	if len(n.secret) > 0 {
		sum = n.sign(string(id)) // a copy, so that buf stays on the stack
	}
	t := tag(sum[:tagBytes])
	for i, c := range t {
		if c == '{' || c == '}' {
			t[i] = c + 1 // a brace would end the tag; this costs less than a bit of 128
		}
	}
	return t
}

// sign returns the HMAC of id.
func (n *naming) sign(id string) [sha256.Size]byte {
	mac := hmac.New(sha256.New, n.secret)
	mac.Write([]byte(id))
	return [sha256.Size]byte(mac.Sum(nil))
}

// buckets returns the name of the key for the buckets of a rule.
func (n *naming) buckets(t tag, rule string) string {
	return n.prefix + "{" + string(t[:]) + "}" + rule
}

// leases returns the name of the key for the leases of a rule.
func (n *naming) leases(t tag, rule string) string { return n.buckets(t, `"`+rule) }
