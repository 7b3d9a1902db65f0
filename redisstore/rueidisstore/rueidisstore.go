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
	"sync/atomic"

	"github.com/redis/rueidis"

	"github.com/ratelimit-go/ratelimit/redisstore"
)

// New returns a Store that uses client. It does not close the client. It sets Config.Sharded for
// the client of a Cluster. It returns an error if client is nil or cfg is invalid.
//
// Rueidis retries only commands that do no harm twice, and it keeps to the deadline of a decision.
// It makes new connections within that deadline too, so the deadline must be longer than three
// round trips. Set Dialer.KeepAlive and ConnWriteTimeout to 500 ms, or the client takes up to
// eleven seconds to notice that the network has forgotten a connection.
func New(client rueidis.Client, cfg redisstore.Config) (*redisstore.Store, error) {
	if client == nil {
		return nil, errors.New("rueidisstore: the client is nil")
	}
	cfg.Sharded = cfg.Sharded || client.Mode() == rueidis.ClientModeCluster
	return redisstore.NewWith(&scripter{Client: client}, cfg)
}

// scripter is a client of rueidis as a Scripter.
type scripter struct {
	rueidis.Client

	// unknown is a script that the server did not know, and that a call had no time to send after
	// that. The next call sends its text at once.
	unknown atomic.Pointer[redisstore.Script]
}

// RunScript implements [redisstore.Scripter].
func (c *scripter) RunScript(
	ctx context.Context, script *redisstore.Script, keys []string, arg []byte,
) (string, error) {
	n, text := int64(len(keys)), rueidis.BinaryString(arg)
	var reply string
	var err error
	send := c.unknown.Load() == script
	if !send {
		evalsha := c.B().Evalsha().Sha1(script.Hash()).Numkeys(n).Key(keys...).Arg(text).Build()
		reply, err = c.Do(ctx, evalsha).ToString()
		answer, ok := rueidis.IsRedisErr(err)
		send = ok && strings.HasPrefix(answer.Error(), "NOSCRIPT")
	}
	if send {
		eval := c.B().Eval().Script(script.Text()).Numkeys(n).Key(keys...).Arg(text).Build()
		if reply, err = c.Do(ctx, eval).ToString(); err != nil {
			c.unknown.Store(script)
		} else {
			c.unknown.CompareAndSwap(script, nil)
		}
	}
	if answer, ok := rueidis.IsRedisErr(err); ok {
		said := redisstore.ServerError(answer.Error())
		if said.Renews() && c.Mode() == rueidis.ClientModeStandalone {
			c.hangUp(ctx, keys[0])
		}
		return "", said
	}
	return reply, err
}

// hangUp lets the server end a connection, so that the client dials again, and resolves the name of
// the server again. The client would keep it for as long as the server answers, be it with errors.
// The client sends a command for a key on any of its connections, so each failure ends one of them.
func (c *scripter) hangUp(ctx context.Context, key string) {
	_ = c.Do(ctx, c.B().Arbitrary("QUIT").Keys(key).Build())
}
