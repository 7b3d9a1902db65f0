// Package rueidisstore is package redisstore with a client of rueidis, which pipelines
// the commands of all callers by itself. See there for everything else.
//
// It pays most on a Cluster, where each decision is a script of its own. On one server package
// redisstore has many decisions made by one script, and the clients differ less.
package rueidisstore

import (
	"context"
	"errors"
	"strings"

	"github.com/redis/rueidis"

	"github.com/ratelimit-go/ratelimit/redisstore"
)

// New returns a Store that uses client, which is the caller's to close. Config.Sharded is set
// for a client of a Cluster. It is an error if client is nil or cfg is not valid.
//
// It needs no option of the client's: rueidis sends nothing again that is not known to be
// harmless, and it heeds the deadline of a decision.
func New(client rueidis.Client, cfg redisstore.Config) (*redisstore.Store, error) {
	if client == nil {
		return nil, errors.New("rueidisstore: the client is nil")
	}
	cfg.Sharded = cfg.Sharded || client.Mode() == rueidis.ClientModeCluster
	return redisstore.NewWith(scripter{client}, cfg)
}

// scripter implements [redisstore.Scripter].
type scripter struct{ rueidis.Client }

// RunScript implements [redisstore.Scripter].
func (c scripter) RunScript(ctx context.Context, script *redisstore.Script, keys []string, arg []byte) (string, error) {
	n, text := int64(len(keys)), rueidis.BinaryString(arg)
	reply, err := c.Do(ctx, c.B().Evalsha().Sha1(script.Hash()).Numkeys(n).Key(keys...).Arg(text).Build()).ToString()
	if answer, ok := rueidis.IsRedisErr(err); ok && strings.HasPrefix(answer.Error(), "NOSCRIPT") {
		reply, err = c.Do(ctx, c.B().Eval().Script(script.Text()).Numkeys(n).Key(keys...).Arg(text).Build()).ToString()
	}
	if answer, ok := rueidis.IsRedisErr(err); ok {
		return "", redisstore.ServerError(answer.Error())
	}
	return reply, err
}
