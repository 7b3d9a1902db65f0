// Package rueidisstore makes a redisstore.Store from a client of rueidis, which pipelines the
// commands of all callers.
//
//	client, err := rueidis.NewClient(rueidis.ClientOption{
//		InitAddress:  []string{"localhost:6379"},
//		DisableCache: true,
//	})
//	...
//	store, err := rueidisstore.New(client, redisstore.Config{Prefix: "shop"})
//
// It helps most on a Cluster, where each decision is a script of its own. Everything else is as
// package redisstore says.
package rueidisstore

import (
	"context"
	"errors"
	"strings"

	"github.com/redis/rueidis"

	"github.com/ratelimit-go/ratelimit/redisstore"
)

// New returns a Store that uses client. It does not close the client. It sets Config.Sharded for
// the client of a Cluster. It returns an error if client is nil or cfg is invalid.
//
// The client needs no option: rueidis retries only commands that do no harm twice, and it keeps to
// the deadline of a decision.
func New(client rueidis.Client, cfg redisstore.Config) (*redisstore.Store, error) {
	if client == nil {
		return nil, errors.New("rueidisstore: the client is nil")
	}
	cfg.Sharded = cfg.Sharded || client.Mode() == rueidis.ClientModeCluster
	return redisstore.NewWith(scripter{client}, cfg)
}

// scripter is a client of rueidis as a Scripter.
type scripter struct{ rueidis.Client }

// RunScript implements [redisstore.Scripter].
func (c scripter) RunScript(
	ctx context.Context, script *redisstore.Script, keys []string, arg []byte,
) (string, error) {
	n, text := int64(len(keys)), rueidis.BinaryString(arg)
	evalsha := c.B().Evalsha().Sha1(script.Hash()).Numkeys(n).Key(keys...).Arg(text).Build()
	reply, err := c.Do(ctx, evalsha).ToString()
	if answer, ok := rueidis.IsRedisErr(err); ok && strings.HasPrefix(answer.Error(), "NOSCRIPT") {
		eval := c.B().Eval().Script(script.Text()).Numkeys(n).Key(keys...).Arg(text).Build()
		reply, err = c.Do(ctx, eval).ToString()
	}
	if answer, ok := rueidis.IsRedisErr(err); ok {
		return "", redisstore.ServerError(answer.Error())
	}
	return reply, err
}
