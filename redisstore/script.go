package redisstore

import (
	"context"
	"crypto/sha1"
	_ "embed"
	"encoding/hex"
	"fmt"

	"github.com/ratelimit-go/ratelimit"
)

//go:embed apply.lua
var applyScript string

// Script is what a [Scripter] runs.
type Script struct{ text, hash string }

// Text is the script itself, in Lua.
func (s *Script) Text() string { return s.text }

// Hash is the name by which a server knows the script that it has run before: the SHA-1 of
// its text, in hexadecimal digits.
func (s *Script) Hash() string { return s.hash }

// apply is the script of all decisions.
var apply = newScript(applyScript)

// newScript returns the script with this text. SHA-1 is the server's choice.
func newScript(text string) *Script {
	sum := sha1.Sum([]byte(text))
	return &Script{text, hex.EncodeToString(sum[:])}
}

// A Scripter is a client of Redis or Valkey, as far as a [Store] needs one. [New] makes one of
// a client of go-redis; see [NewWith] for others.
type Scripter interface {
	// RunScript has the server run script for these keys, with arg as the only argument, and
	// returns what it replies, which is a string of bytes. Keys and arg are bytes, not text.
	//
	// It sends EVALSHA with the hash of the script, and EVAL with its text if the server
	// answers NOSCRIPT: then nothing has been run. Nothing else may be sent twice, whatever
	// the client is told to retry, since what was taken would be taken again. It must
	// give up at the deadline of ctx. Nobody may change keys or arg, then or later.
	//
	// An error that the server answered it returns as a [ServerError], and all others as they are.
	RunScript(ctx context.Context, script *Script, keys []string, arg []byte) (string, error)
}

// ServerError is the text of an error that the server answered, which begins with a word such
// as OOM or READONLY.
type ServerError string

// Error returns the text.
func (e ServerError) Error() string { return string(e) }

// splitReply cuts the reply for calls into theirs, and gives each its own error if it has one.
func splitReply(reply string, calls []*call) error {
	ops := 0
	for _, c := range calls {
		ops += len(c.arg) / opSize
	}
	if len(reply) < replySize*ops {
		return &Error{Reason: ratelimit.FailureScript, Err: fmt.Errorf("a reply of %d bytes: want %d", len(reply), replySize*ops)}
	}
	errs := reply[replySize*ops:]
	for _, c := range calls {
		n := len(c.arg) / opSize * replySize
		c.reply, reply = reply[:n], reply[n:]
		failed := -int(number(c.reply)) // the length of an error
		if failed <= 0 {
			continue
		}
		if failed > len(errs) {
			return &Error{Reason: ratelimit.FailureScript, Err: fmt.Errorf("an error of %d bytes: want at most %d", failed, len(errs))}
		}
		c.err, errs = &Error{Reason: reasonOf(ServerError(errs[:failed])), Err: ServerError(errs[:failed])}, errs[failed:]
	}
	return nil
}
