package redisstore

import (
	"context"
	"crypto/sha1"
	_ "embed"
	"encoding/hex"

	"github.com/redis/go-redis/v9"
)

//go:embed apply.lua
var script string

// scriptHash is the name by which the server knows the script. SHA-1 is the server's choice.
var scriptHash = func() string {
	sum := sha1.Sum([]byte(script))
	return hex.EncodeToString(sum[:])
}()

// once is a command that the client sends once. Its own retries would charge twice.
type once struct{ *redis.Cmd }

// NoRetry implements [redis.Cmder].
func (once) NoRetry() bool { return true }

// eval runs the script by its hash, or by its text if the server does not know it; then
// nothing has been run yet.
func (s *Store) eval(ctx context.Context, args []any) (string, error) {
	reply, err := s.send(ctx, args)
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		args[0], args[1] = "eval", script
		reply, err = s.send(ctx, args)
	}
	if err != nil {
		return "", newError(err)
	}
	return reply, nil
}

func (s *Store) send(ctx context.Context, args []any) (string, error) {
	cmd := once{redis.NewCmd(ctx, args...)}
	if err := s.client.Process(ctx, cmd); err != nil {
		return "", err
	}
	return cmd.Text()
}
