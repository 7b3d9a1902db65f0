package redisstore

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"
	"weak"

	"github.com/redis/go-redis/v9"

	"github.com/ratelimit-go/ratelimit/store"
)

// goRedis is a client of go-redis as a Scripter.
type goRedis struct {
	redis.UniversalClient
	links *sync.Map // from weak.Pointer[redis.Client] to *link
}

// newGoRedis makes links of all clients of servers that client has or will have. The servers of a
// Cluster or a Ring may change for years, so a link ends with its client.
func newGoRedis(client redis.UniversalClient) goRedis {
	links := new(sync.Map)
	c := goRedis{client, links}
	add := func(node *redis.Client) {
		known := weak.Make(node)
		if _, ok := links.Load(known); !ok {
			links.Store(known, newLink(node))
			runtime.AddCleanup(node, func(gone weak.Pointer[redis.Client]) { links.Delete(gone) }, known)
		}
	}
	switch client := client.(type) {
	case *redis.Client:
		add(client)
	case *redis.Ring:
		client.OnNewNode(add)
		for _, node := range client.GetShardClients() {
			add(node)
		}
	case *redis.ClusterClient:
		client.OnNewNode(add)
		_ = client.ForEachShard(over(), func(_ context.Context, node *redis.Client) error {
			add(node)
			return nil
		})
	}
	return c
}

// over returns a context that is over. A call with it never waits for the network.
func over() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// node returns the client of the server that has a key, or nil if that is not known.
func (c goRedis) node(name string) *redis.Client {
	var node *redis.Client
	switch client := c.UniversalClient.(type) {
	case *redis.Client:
		return client
	case *redis.Ring:
		node, _ = client.GetShardClientForKey(name)
	case *redis.ClusterClient:
		node, _ = client.MasterForKey(over(), name)
	}
	return node
}

// link returns the link of the server that has a key, or nil.
func (c goRedis) link(name string) *link {
	l, _ := c.links.Load(weak.Make(c.node(name)))
	known, _ := l.(*link)
	return known
}

// shard returns the address of the server that has a key.
func (c goRedis) shard(name string) string {
	if node := c.node(name); node != nil {
		return node.Options().Addr
	}
	return slotGroup(name)
}

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
	began, l := time.Now(), c.link(keys[0])
	text := l != nil && l.unknown.Load() == script
	var reply string
	var err error
	if !text {
		reply, err = c.send(ctx, args)
		text = redis.HasErrorPrefix(err, "NOSCRIPT")
	}
	if text {
		args[0], args[1] = "eval", script.Text()
		reply, err = c.send(ctx, args)
		if l != nil {
			l.learn(script, err == nil)
		}
	}
	if err != nil && ctx.Err() != context.Canceled {
		c.failed(ctx, l, began, err)
	}
	return reply, err
}

func (c goRedis) send(ctx context.Context, args []any) (string, error) {
	cmd := once{redis.NewCmd(ctx, args...)}
	err := c.Process(ctx, cmd)
	if err == nil {
		reply, err := cmd.Text()
		if err != nil {
			err = badReply("a reply that is no string: %w", err)
		}
		return reply, err
	}
	var answer redis.Error
	if errors.As(err, &answer) {
		return "", goRedisError{ServerError(answer.Error()), err}
	}
	return "", err
}

// failed does what makes the next call meet a server that works: it lets the client leave out
// connections that may be dead, and look for the servers again.
func (c goRedis) failed(ctx context.Context, l *link, began time.Time, err error) {
	if answer := ServerError(""); errors.As(err, &answer) {
		if l != nil && answer.Renews() {
			l.renew()
		}
		return
	}
	if l != nil {
		l.suspect(int64(began.Sub(l.origin)))
	}
	reloadCluster(ctx, c.UniversalClient, err)
}

// A goRedisError is what the server answered, as a ServerError and as the error of go-redis.
type goRedisError struct {
	ServerError
	err error
}

func (e goRedisError) Unwrap() []error { return []error{e.ServerError, e.err} }

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
