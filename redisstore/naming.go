package redisstore

import (
	"crypto/hmac"
	"crypto/sha256"

	"github.com/ratelimit-go/ratelimit"
)

const (
	defaultPrefix = "rl"
	maxPrefix     = 64
	tagBytes      = 16 // of the hash
)

// naming makes the names of keys: PREFIX{TAG}RULE. The tag in braces is what a Cluster chooses
// the slot by, so all buckets of one identity are together. It is a hash: nothing that a client sent is
// ever part of a name. It is binary, and names are short, because each is kept in memory. Leases are
// under PREFIX{TAG}"RULE, as no bucket is: the name of a rule does not begin with a quote.
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

// tag is the hash of an identity.
type tag [tagBytes]byte

func (n *naming) tag(key ratelimit.Key) tag {
	var buf [32]byte
	id, _ := key.AppendBinary(buf[:0]) // the error is always nil
	sum := sha256.Sum256(id)
	if len(n.secret) > 0 {
		mac := hmac.New(sha256.New, n.secret)
		mac.Write(id)
		mac.Sum(sum[:0])
	}
	t := tag(sum[:tagBytes])
	for i, c := range t {
		if c == '{' || c == '}' {
			t[i] = c + 1 // a brace would end the tag; this costs less than a bit of 128
		}
	}
	return t
}

// name returns the name of the key for the buckets of a rule.
func (n *naming) name(t tag, rule string) string {
	name := make([]byte, 0, len(n.prefix)+len("{}")+tagBytes+len(rule))
	name = append(name, n.prefix...)
	name = append(name, '{')
	name = append(name, t[:]...)
	name = append(name, '}')
	return string(append(name, rule...))
}

func (n *naming) leases(t tag, rule string) string { return n.name(t, `"`+rule) }
