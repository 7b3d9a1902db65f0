package redisstore

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"

	"github.com/ratelimit-go/ratelimit/store"
)

// goRedis is a client of go-redis as a Scripter.
type goRedis struct{ redis.UniversalClient }

// once is a command that the client never retries: a retry would charge twice.
type once struct{ *redis.Cmd }

// NoRetry implements [redis.Cmder].
func (once) NoRetry() bool { return true }

// RunScript implements [Scripter].
func (c goRedis) RunScript(ctx context.Context, script *Script, keys []string, arg []byte) (string, error) {
	args := make([]any, 0, 4+len(keys))
	args = append(args, "evalsha", script.Hash(), len(keys))
	for i := range keys {
		args = append(args, &keys[i]) // a pointer, because a string in an interface is an allocation
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
	reloadCluster(ctx, c.UniversalClient, err)
	return "", err
}

// reloadCluster makes the client of a Cluster find the owners of the slots again, if err says that
// it could not reach a node. By itself the client does that only when a node answers that a slot
// has moved. A dead node answers nothing, so the client would go on to call it for a minute after
// its replica has taken over (redis/go-redis#3979). The client reloads at most five times per
// second, in the background.
func reloadCluster(ctx context.Context, client redis.UniversalClient, err error) {
	c, ok := client.(*redis.ClusterClient)
	if !ok {
		return
	}
	switch reasonOf(err) {
	case store.ReasonConnect, store.ReasonTimeout:
		c.ReloadState(ctx)
	}
}
