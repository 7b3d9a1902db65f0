package redisstore

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/store"
)

// A slowServer is a Scripter that answers when a test says so. To an op named n it answers n.
type slowServer struct {
	mu    sync.Mutex
	sent  [][]string
	until []time.Duration // the time that each call had left
	free  chan error
	panic bool
}

func (s *slowServer) RunScript(ctx context.Context, _ *Script, names []string, arg []byte) (string, error) {
	s.mu.Lock()
	s.sent = append(s.sent, slices.Clone(names))
	until, _ := ctx.Deadline()
	s.until = append(s.until, time.Until(until))
	s.mu.Unlock()
	if len(arg) != opSize*len(names) {
		return "", fmt.Errorf("%d bytes for %d names", len(arg), len(names))
	}
	select {
	case err := <-s.free:
		if s.panic {
			panic("a bug in the client")
		}
		return answers(names...), err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func answers(names ...string) string {
	var b []byte
	for _, name := range names {
		n, _ := strconv.Atoi(name)
		b = binary.BigEndian.AppendUint64(b, math.Float64bits(float64(max(n, 0))))
		b = binary.BigEndian.AppendUint64(b, 0)
	}
	return string(b)
}

// A crowd is callers of one combiner, in a bubble of synctest.
type crowd struct {
	*testing.T
	server *slowServer
	*combiner

	mu     sync.Mutex
	errs   map[int]error
	inside sync.WaitGroup
}

func withCrowd(t *testing.T, f func(*crowd)) {
	synctest.Test(t, func(t *testing.T) {
		server := &slowServer{free: make(chan error)}
		c := &crowd{T: t, server: server, combiner: &combiner{client: server}, errs: map[int]error{}}
		f(c)
		c.inside.Wait()
		assert.Zero(t, c.lanes, "a lane was lost")
		for _, o := range c.queue {
			assert.True(t, o.left)
		}
	})
}

// call starts the call of caller n, with the timeout d unless it is 0, and waits until all are
// blocked.
func (c *crowd) call(n int, d time.Duration) {
	ctx := c.Context()
	if d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d)
		c.Cleanup(cancel)
	}
	c.callWith(ctx, n, 1)
}

func (c *crowd) callWith(ctx context.Context, n, ops int) {
	names := slices.Repeat([]string{strconv.Itoa(n)}, ops)
	c.inside.Go(func() {
		defer func() {
			if p := recover(); p != nil {
				c.answered(n, fmt.Errorf("panic: %v", p))
			}
		}()
		reply, err := c.do(&call{ctx: ctx, names: names, arg: make([]byte, opSize*ops)})
		if err == nil {
			assert.Equal(c, answers(names...), reply, "the answer to another call")
		}
		c.answered(n, err)
	})
	synctest.Wait()
}

func (c *crowd) answered(n int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.errs[n] = err
}

// fill occupies all lanes, with callers below 0.
func (c *crowd) fill() {
	for n := range maxLanes {
		c.call(-1-n, 0)
	}
	require.Len(c, c.server.sent, maxLanes, "while a lane is free, no call waits")
}

// answer ends one script.
func (c *crowd) answer(err error) {
	c.server.free <- err
	synctest.Wait()
}

func (c *crowd) answerAll() {
	for range 1000 {
		select {
		case c.server.free <- nil:
			synctest.Wait()
		default:
			return
		}
	}
	c.Fatal("there is no end of scripts")
}

// wantSent fails unless the last script was for callers.
func (c *crowd) wantSent(callers ...int) {
	c.Helper()
	var names []string
	for _, n := range callers {
		names = append(names, strconv.Itoa(n))
	}
	require.Equal(c, names, c.server.sent[len(c.server.sent)-1])
}

func (c *crowd) wantTimeout(n int) {
	c.Helper()
	var e *Error
	require.ErrorAs(c, c.errs[n], &e)
	assert.Equal(c, store.ReasonTimeout, e.Reason)
}
