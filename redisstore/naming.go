package redisstore

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strconv"

	"github.com/ratelimit-go/ratelimit"
)

const (
	defaultPrefix = "ratelimit"
	maxPrefix     = 64
	tagBytes      = 16 // of the hash
)

// naming makes the names of keys: PREFIX:{TAG}:RULE:INDEX. The tag in braces is what a
// Cluster chooses the slot by, so all buckets of one identity are together. It is a hash:
// nothing that a client sent is ever part of a name.
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

func (n *naming) tag(key ratelimit.Key) string {
	var buf [32]byte
	id, _ := key.AppendBinary(buf[:0]) // the error is always nil
	sum := sha256.Sum256(id)
	if len(n.secret) > 0 {
		mac := hmac.New(sha256.New, n.secret)
		mac.Write(id)
		mac.Sum(sum[:0])
	}
	return base64.RawURLEncoding.EncodeToString(sum[:tagBytes])
}

func (n *naming) bucket(tag string, l *ratelimit.NamedLimit) string {
	return n.prefix + ":{" + tag + "}:" + l.Rule() + ":" + strconv.Itoa(l.Index())
}
