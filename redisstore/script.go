package redisstore

import (
	"context"
	"crypto/sha1"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

//go:embed apply.lua
var script string

// scriptHash is the name by which the server knows the script. SHA-1 is the server's choice.
var scriptHash = func() string {
	sum := sha1.Sum([]byte(script))
	return hex.EncodeToString(sum[:])
}()

// runner runs the script for the buckets of the given names, once: it retries nothing.
type runner interface {
	run(ctx context.Context, names []string, arg []byte) (string, error)
}

// goRedis is the runner of a client of go-redis.
type goRedis struct{ redis.UniversalClient }

// once is a command that the client sends once. Its own retries would charge twice.
type once struct{ *redis.Cmd }

// NoRetry implements [redis.Cmder].
func (once) NoRetry() bool { return true }

// run has the script run by its hash, or by its text if the server does not know it; then
// nothing has been run yet.
func (c goRedis) run(ctx context.Context, names []string, arg []byte) (string, error) {
	args := make([]any, 0, 4+len(names))
	args = append(args, "evalsha", scriptHash, len(names))
	for i := range names {
		args = append(args, &names[i])
	}
	args = append(args, arg)
	reply, err := c.send(ctx, args)
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		args[0], args[1] = "eval", script
		reply, err = c.send(ctx, args)
	}
	return reply, err
}

func (c goRedis) send(ctx context.Context, args []any) (string, error) {
	cmd := once{redis.NewCmd(ctx, args...)}
	if err := c.Process(ctx, cmd); err != nil {
		reload(ctx, c.UniversalClient, err)
		return "", err
	}
	return cmd.Text()
}

// splitReply cuts the reply for calls into theirs, and gives each its own error if it has one.
func splitReply(reply string, calls []*call) error {
	ops := 0
	for _, c := range calls {
		ops += len(c.arg) / opSize
	}
	if len(reply) < replySize*ops {
		return &Error{ReasonScript, fmt.Errorf("a reply of %d bytes: want %d", len(reply), replySize*ops)}
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
			return &Error{ReasonScript, fmt.Errorf("an error of %d bytes: want at most %d", failed, len(errs))}
		}
		c.err, errs = &Error{reasonOfText(errs[:failed]), errors.New(errs[:failed])}, errs[failed:]
	}
	return nil
}
