package redisstore

import (
	"context"

	"github.com/ratelimit-go/ratelimit"
	"github.com/redis/go-redis/v9"
)

// reload has the client of a Cluster find out who has which slots, if err says that a node was
// not reached. The client does so by itself when a node says that a slot has moved, but a
// dead one says nothing, and it would be asked in vain for another minute after its replica has
// taken over (redis/go-redis#3979). It reloads at most five times in a second, and waits for
// nothing.
func reload(ctx context.Context, client redis.UniversalClient, err error) {
	c, ok := client.(*redis.ClusterClient)
	if !ok {
		return
	}
	switch reasonOf(err) {
	case ratelimit.FailureConnect, ratelimit.FailureTimeout:
		c.ReloadState(ctx)
	}
}
