package redisstore

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
)

// A Ring whose servers change again and again leaves nothing behind.
func TestServersThatAreGoneAreForgotten(t *testing.T) {
	ring := redis.NewRing(&redis.RingOptions{ContextTimeoutEnabled: true})
	defer ring.Close()
	c := newGoRedis(ring)
	count := func() (n int) {
		c.links.Range(func(any, any) bool { n++; return true })
		return n
	}
	for i := range 50 {
		ring.SetAddrs(map[string]string{"a": fmt.Sprintf("127.0.0.1:%d", 1000+i)})
	}
	assert.Eventually(t, func() bool {
		runtime.GC()
		return count() < 5
	}, 10*time.Second, 10*time.Millisecond)
}
