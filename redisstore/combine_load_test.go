package redisstore

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// Under random load no caller stays beyond its deadline or receives the answer to another call. In
// the end all lanes are free.
func TestCombinerUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &busyServer{rnd: rand.New(rand.NewPCG(1, 2))}
		b := &combiner{client: server}
		var all sync.WaitGroup
		for caller := range 50 {
			all.Go(func() {
				rnd := rand.New(rand.NewPCG(uint64(caller), 3))
				for range 100 {
					d := time.Duration(1 + rnd.Int64N(int64(5*time.Millisecond)))
					ctx, cancel := context.WithTimeout(t.Context(), d)
					if rnd.IntN(10) == 0 {
						time.AfterFunc(d/2, cancel)
					}
					n, begin := strconv.Itoa(rnd.IntN(1000)), time.Now()
					reply, err := b.do(&call{ctx: ctx, names: []string{n}, arg: make([]byte, opSize)})
					if err == nil {
						assert.Equal(t, answers(n), reply)
						server.answered.Add(1)
					}
					assert.LessOrEqual(t, time.Since(begin), d)
					cancel()
					time.Sleep(time.Duration(rnd.Int64N(int64(time.Millisecond))))
				}
			})
		}
		all.Wait()
		assert.Zero(t, b.lanes, "a lane was lost")
		assert.Greater(t, server.answered.Load(), int64(1000))
		assert.Less(t, server.scripts.Load(), server.answered.Load()/2)
	})
}

// A busyServer is a Scripter that takes a random time.
type busyServer struct {
	mu  sync.Mutex
	rnd *rand.Rand

	scripts, answered atomic.Int64
}

func (s *busyServer) RunScript(ctx context.Context, _ *Script, names []string, _ []byte) (string, error) {
	s.scripts.Add(1)
	s.mu.Lock()
	d := time.Duration(s.rnd.Int64N(int64(2 * time.Millisecond)))
	if s.rnd.IntN(20) == 0 {
		d = time.Hour
	}
	s.mu.Unlock()
	select {
	case <-time.After(d):
		return answers(names...), nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}
