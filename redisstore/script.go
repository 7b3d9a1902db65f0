package redisstore

import (
	"context"
	"crypto/sha1"
	_ "embed"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"

	"github.com/ratelimit-go/ratelimit/store"
)

//go:embed apply.lua
var applyScript string

// Script is a script in Lua that a [Scripter] runs.
type Script struct{ text, hash string }

// Text returns the script itself.
func (s *Script) Text() string { return s.text }

// Hash returns the SHA-1 of the text in hexadecimal digits. By it the server knows a script that it
// has run before.
func (s *Script) Hash() string { return s.hash }

// apply is the script of all decisions.
var apply = newScript(applyScript)

// newScript returns the script with this text. The server prescribes SHA-1.
func newScript(text string) *Script {
	sum := sha1.Sum([]byte(text))
	return &Script{text, hex.EncodeToString(sum[:])}
}

// A Scripter is the part of a client of Redis or Valkey that a [Store] needs. [New] makes one from
// a client of go-redis. For another client, implement Scripter and call [NewWith].
type Scripter interface {
	// RunScript makes the server run script for keys, with arg as its only argument. It returns the
	// reply, which is a string of bytes. Keys and arg are bytes, not text, and must not be changed.
	//
	// It sends EVALSHA with the hash of the script. If the server answers NOSCRIPT, it has run
	// nothing, and RunScript sends EVAL with the text. RunScript must send nothing else twice, even
	// if the client is told to retry: a second run would charge again. It must return at the
	// deadline of ctx.
	//
	// If the server answers an error, RunScript returns it as a [ServerError]. It returns other
	// errors as they are.
	RunScript(ctx context.Context, script *Script, keys []string, arg []byte) (string, error)
}

// ServerError is the text of an error that the server answered. It begins with a word such as OOM
// or READONLY.
type ServerError string

// Error returns the text.
func (e ServerError) Error() string { return string(e) }

// splitReply gives each call its part of the reply, or its error.
func splitReply(reply string, calls []*call) error {
	ops := 0
	for _, c := range calls {
		ops += c.size()
	}
	if len(reply) < replySize*ops {
		return badReply("a reply of %d bytes: want %d", len(reply), replySize*ops)
	}
	errs := reply[replySize*ops:]
	for _, c := range calls {
		n := c.size() * replySize
		c.reply, reply = reply[:n], reply[n:]
		failed, err := checkReply(c.reply)
		if err != nil {
			return err
		}
		if failed == 0 {
			continue
		}
		if failed > len(errs) {
			return badReply("an error of %d bytes: want at most %d", failed, len(errs))
		}
		c.err, errs = newError(ServerError(errs[:failed])), errs[failed:]
	}
	if errs != "" {
		return badReply("a reply that is %d bytes too long", len(errs))
	}
	return nil
}

// checkReply returns the length of the error of a batch, which is its first number if that is
// negative. All others are debts. What the script cannot have replied must decide nothing.
func checkReply(reply string) (failed int, err error) {
	for at := 0; at < len(reply); at += replySize / 2 {
		x := math.Float64frombits(binary.BigEndian.Uint64([]byte(reply[at : at+replySize/2])))
		switch {
		case x != math.Trunc(x) || !(x >= -maxFill && x <= 2*maxFill): // NaN is not
		case x >= 0:
			continue
		case at == 0:
			failed = int(-x)
			continue
		}
		return 0, badReply("a number %v: want a debt", x)
	}
	return failed, nil
}

func badReply(format string, args ...any) *Error {
	return &Error{Reason: store.ReasonScript, Err: fmt.Errorf(format, args...)}
}
