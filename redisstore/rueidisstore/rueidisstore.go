// Package rueidisstore makes a redisstore.Store from a client of rueidis, which pipelines the
// commands of all callers.
//
//	client, err := rueidisstore.NewClient(rueidis.ClientOption{
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
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/redis/rueidis"

	"github.com/ratelimit-go/ratelimit/redisstore"
)

// New returns a Store that uses client. It does not close the client. It sets Config.Sharded for
// the client of a Cluster. It returns an error if client is nil or cfg is invalid.
//
// Make the client by [NewClient]. Any other client of rueidis works too, but takes up to eleven
// seconds to notice that the network has forgotten a connection.
//
// Rueidis retries only commands that do no harm twice, and it keeps to the deadline of a decision.
// A new connection takes longer than a decision. So after a decision without an answer, the client
// connects in a goroutine. The goroutine ends within a second, or within five deadlines if they are
// longer.
func New(client rueidis.Client, cfg redisstore.Config) (*redisstore.Store, error) {
	if client == nil {
		return nil, errors.New("rueidisstore: the client is nil")
	}
	c := &scripter{Client: client, cluster: client.Mode() == rueidis.ClientModeCluster}
	if w, ok := client.(watched); ok {
		c.Client, c.conns = w.Client, w.conns
	}
	cfg.Sharded = cfg.Sharded || c.cluster
	return redisstore.NewWith(c, cfg)
}

// scripter is a client of rueidis as a Scripter.
type scripter struct {
	rueidis.Client
	cluster bool
	conns   *conns // nil if they are not known
	dialer  dialer

	// unknown is a script that the server did not know, and that a call had no time to send after
	// that. The next call sends its text at once.
	unknown atomic.Pointer[redisstore.Script]
}

// RunScript implements [redisstore.Scripter].
func (c *scripter) RunScript(
	ctx context.Context, script *redisstore.Script, keys []string, arg []byte,
) (string, error) {
	cmd := c.command("EVALSHA", script.Hash(), keys, arg)
	text := c.unknown.Load() == script
	if text {
		cmd = c.command("EVAL", script.Text(), keys, arg)
	}
	g := c.dialer.group(cmd.Slot())
	reply, err := c.send(ctx, g, keys[0], cmd)
	answer, answered := rueidis.IsRedisErr(err)
	if !text && answered && strings.HasPrefix(answer.Error(), "NOSCRIPT") {
		text = true
		reply, err = c.send(ctx, g, keys[0], c.command("EVAL", script.Text(), keys, arg))
		answer, answered = rueidis.IsRedisErr(err)
	}
	if text {
		c.learn(script, err == nil)
	}
	if answered {
		said := redisstore.ServerError(answer.Error())
		if said.Renews() && c.Mode() == rueidis.ClientModeStandalone {
			c.hangUp(ctx)
			g.ready.Store(false) // the next call is not sent before the client has dialed
		}
		return "", said
	}
	if noString(err) {
		return "", redisstore.ServerError("a reply that is no string: " + err.Error())
	}
	return reply, err
}

// learn says whether the server knows the text of script now.
func (c *scripter) learn(script *redisstore.Script, known bool) {
	if known {
		c.unknown.CompareAndSwap(script, nil)
	} else {
		c.unknown.Store(script)
	}
}

// command returns the command that runs a script. The client of one server sends commands whose
// keys it does not know on the first of its connections, and others on any of them. With one
// connection, a call that finds it usable tells the next call that it is usable.
func (c *scripter) command(name, script string, keys []string, arg []byte) rueidis.Completed {
	b := c.B().Arbitrary(name, script, strconv.Itoa(len(keys)))
	if c.cluster {
		b = b.Keys(keys...)
	} else {
		b = b.Args(keys...)
	}
	return b.Args(rueidis.BinaryString(arg)).Build()
}

// hangUp lets the server end the connection, so that the client dials again, and resolves the name
// of the server again. The client would keep it for as long as the server answers, be it with
// errors.
func (c *scripter) hangUp(ctx context.Context) {
	_ = c.Do(ctx, c.B().Arbitrary("QUIT").Build())
}
