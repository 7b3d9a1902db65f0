package redisstore

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
)

// goRedis is the Scripter of a client of go-redis.
type goRedis struct{ redis.UniversalClient }

// once is a command that the client sends once. Its own retries would charge twice.
type once struct{ *redis.Cmd }

// NoRetry implements [redis.Cmder].
func (once) NoRetry() bool { return true }

// RunScript implements [Scripter].
func (c goRedis) RunScript(ctx context.Context, script *Script, keys []string, arg []byte) (string, error) {
	args := make([]any, 0, 4+len(keys))
	args = append(args, "evalsha", script.Hash(), len(keys))
	for i := range keys {
		args = append(args, &keys[i]) // a pointer, since making an interface of a string allocates
	}
	args = append(args, arg)
	reply, err := c.send(ctx, args)
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		args[0], args[1] = "eval", script.Text()
		reply, err = c.send(ctx, args)
	}
	return reply, err
}

func (c goRedis) send(ctx context.Context, args []any) (string, error) {
	cmd := once{redis.NewCmd(ctx, args...)}
	err := c.Process(ctx, cmd)
	if err == nil {
		return cmd.Text()
	}
	var answer redis.Error
	if errors.As(err, &answer) {
		return "", &Error{Reason: reasonOf(ServerError(answer.Error())), Err: err}
	}
	reload(ctx, c.UniversalClient, err)
	return "", err
}
