package main

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	roleCustomer = "customer"
	rolePartner  = "partner"
	roleAdmin    = "admin"
)

// identity is what a client has proved about itself.
type identity struct{ name, role string }

// signer makes and checks the tokens of signed-in users. It needs no query. The limits by user
// depend on it, so it must cost less than they save.
type signer struct{ key []byte }

func newSigner() *signer {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return &signer{key}
}

func (s *signer) sign(id identity, until time.Time) string {
	text := id.name + "|" + id.role + "|" + strconv.FormatInt(until.Unix(), 10)
	enc := base64.RawURLEncoding
	return enc.EncodeToString([]byte(text)) + "." + enc.EncodeToString(s.mac(text))
}

// identify returns the identity in the bearer token of r. It returns false if r has no valid token.
func (s *signer) identify(r *http.Request) (identity, bool) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return identity{}, false
	}
	first, second, _ := strings.Cut(token, ".")
	text, err := base64.RawURLEncoding.DecodeString(first)
	if err != nil {
		return identity{}, false
	}
	mac, err := base64.RawURLEncoding.DecodeString(second)
	if err != nil || !hmac.Equal(mac, s.mac(string(text))) {
		return identity{}, false
	}
	parts := strings.Split(string(text), "|")
	until, err := strconv.ParseInt(parts[len(parts)-1], 10, 64)
	if err != nil || len(parts) != 3 || time.Now().Unix() > until {
		return identity{}, false
	}
	return identity{parts[0], parts[1]}, true
}

// userOf returns the name of the signed-in user, or "".
func (s *signer) userOf(r *http.Request) string {
	id, _ := s.identify(r)
	return id.name
}

func (s *signer) mac(text string) []byte {
	h := hmac.New(sha256.New, s.key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// hashPassword is PBKDF2. It is slow on purpose, so each guess costs the service some milliseconds.
// OWASP wants 600,000 iterations. They would make an attack on the processors even easier.
func hashPassword(password string, salt []byte, iterations int) []byte {
	hash, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		panic(err) // unreachable: the arguments are ours
	}
	return hash
}
