package redisstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ratelimit-go/ratelimit"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// slowServer is a Scripter that answers when it is told to. To an op named n it answers n.
type slowServer struct {
	mu    sync.Mutex
	sent  [][]string
	until []time.Duration // how long each could take
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

// crowd is callers of one combiner, in a bubble.
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

// call has the caller n ask, within d if that is not 0, and waits until all wait.
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
			assert.Equal(c, answers(names...), reply, "the answer to another")
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

// fill occupies all lanes, by callers below 0.
func (c *crowd) fill() {
	for n := range maxLanes {
		c.call(-1-n, 0)
	}
	require.Len(c, c.server.sent, maxLanes, "while lanes are free, nobody waits")
}

// answer lets one script end.
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

// wantSent fails unless the last script was for these callers.
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
	assert.Equal(c, ratelimit.FailureTimeout, e.Reason)
}

func TestWhoWaitsIsCombined(t *testing.T) {
	withCrowd(t, func(c *crowd) {
		c.fill()
		for n := range 10 {
			c.call(n, 0)
		}
		require.Len(c, c.server.sent, maxLanes)
		c.answer(nil)
		require.Len(c, c.server.sent, maxLanes+1)
		c.wantSent(0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
		c.answerAll()
		require.Len(c, c.errs, maxLanes+10)
		for n, err := range c.errs {
			require.NoError(c, err, "caller %d", n)
		}
	})
}

func TestScriptsAreShort(t *testing.T) {
	withCrowd(t, func(c *crowd) {
		c.fill()
		c.callWith(c.Context(), 0, maxOps-1)
		c.callWith(c.Context(), 1, 2)
		c.callWith(c.Context(), 2, 2*maxOps)
		c.callWith(c.Context(), 3, 1)
		var sizes []int
		for range 4 {
			c.answer(nil)
			sizes = append(sizes, len(c.server.sent[len(c.server.sent)-1]))
		}
		require.Equal(c, []int{maxOps - 1, 2, 2 * maxOps, 1}, sizes)
		c.answerAll()
	})
}

func TestWhoWaitsLeavesAtItsDeadline(t *testing.T) {
	withCrowd(t, func(c *crowd) {
		c.fill()
		c.call(0, time.Second)
		c.call(1, time.Minute)
		time.Sleep(time.Second)
		synctest.Wait()
		c.wantTimeout(0)
		require.NotContains(c, c.errs, 1)
		c.answer(nil)
		c.wantSent(1) // and not what nobody waits for
		c.answerAll()
		require.NoError(c, c.errs[1])
	})
}

// A script is given the latest deadline of those it is for, and those who cannot wait as long
// leave it.
func TestNobodyIsCutOffEarly(t *testing.T) {
	withCrowd(t, func(c *crowd) {
		c.fill()
		c.call(0, time.Second)
		c.call(1, time.Minute)
		c.call(2, time.Second)
		c.answer(nil)
		c.wantSent(0, 1, 2)
		require.Equal(c, time.Minute, c.server.until[maxLanes])
		time.Sleep(2 * time.Second)
		synctest.Wait()
		c.wantTimeout(0)
		c.wantTimeout(2)
		require.NotContains(c, c.errs, 1)
		c.answerAll()
		require.NoError(c, c.errs[1])
	})
}

func TestNobodyWaitsForASlowServerForLonger(t *testing.T) {
	withCrowd(t, func(c *crowd) {
		for n := range 20 {
			c.call(n, time.Second)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		require.Len(c, c.errs, 20)
		for n := range 20 {
			c.wantTimeout(n)
		}
	})
}

// Who is cancelled while it asks for others lets them have their answers.
func TestCancelledLeader(t *testing.T) {
	withCrowd(t, func(c *crowd) {
		c.fill()
		ctx, cancel := context.WithTimeout(c.Context(), time.Hour)
		c.callWith(ctx, 0, 1)
		c.call(1, time.Second)
		c.answer(nil)
		c.wantSent(0, 1)
		cancel()
		synctest.Wait()
		require.NotContains(c, c.errs, 1)
		c.answerAll()
		require.NoError(c, c.errs[1])
	})
}

// Whoever is told to lead may have left in the same moment.
func TestLeaderHasLeft(t *testing.T) {
	for name, waiting := range map[string]int{"others are there": 3, "nobody is there": 1} {
		t.Run(name, func(t *testing.T) {
			withCrowd(t, func(c *crowd) {
				c.fill()
				var calls []*call
				for n := range waiting {
					o := &call{ctx: c.Context(), names: []string{strconv.Itoa(n)}, arg: make([]byte, opSize)}
					require.False(c, c.enter(o))
					calls = append(calls, o)
				}
				c.answer(nil) // one of them is told, and nobody listens
				leader := slices.IndexFunc(calls, func(o *call) bool { return o.lead != nil })
				require.NotEqual(c, -1, leader)
				require.False(c, c.leave(calls[leader]))
				for i, o := range calls {
					if i == leader {
						continue
					}
					c.inside.Go(func() {
						<-o.ready
						if o.lead != nil {
							c.send(o)
						}
						assert.NoError(c, o.err)
						assert.Equal(c, answers(o.names...), o.reply)
					})
				}
				synctest.Wait()
				c.answerAll()
			})
		})
	}
}

// An answer that is there at the deadline is taken.
func TestAnswerAtTheDeadline(t *testing.T) {
	withCrowd(t, func(c *crowd) {
		c.fill()
		ctx, cancel := context.WithTimeout(c.Context(), time.Hour)
		defer cancel()
		late := &call{ctx: ctx, names: []string{"7"}, arg: make([]byte, opSize)}
		require.False(c, c.enter(late))
		c.call(1, 0)
		c.answer(nil)
		c.wantSent(7, 1)
		c.answerAll()
		require.True(c, c.leave(late))
		assert.Equal(c, answers("7"), late.reply)
	})
}

func TestBrokenConnection(t *testing.T) {
	broken := errors.New("broken")
	withCrowd(t, func(c *crowd) {
		for n := range maxLanes + 2 {
			c.call(n, 0)
		}
		for range maxLanes + 1 {
			c.answer(broken)
		}
		for n := range maxLanes + 2 {
			require.ErrorIs(c, c.errs[n], broken)
		}
	})
}

// A script that fails for several is one failure, and for one it is that one's.
func TestFailureOfOneScriptIsTold(t *testing.T) {
	withCrowd(t, func(c *crowd) {
		c.fill()
		for n := range 3 {
			c.call(n, 0)
		}
		known := &Error{Reason: ratelimit.FailureTimeout, Err: errors.New("of the client")}
		for range maxLanes + 1 {
			c.answer(known)
		}
		repeated := func(n int) bool {
			var e *Error
			require.ErrorAs(c, c.errs[n], &e)
			assert.Equal(c, ratelimit.FailureTimeout, e.Reason)
			return e.Repeated()
		}
		assert.Equal(c, []bool{false, true, true}, []bool{repeated(0), repeated(1), repeated(2)})
		assert.Equal(c, []bool{false, false}, []bool{repeated(-1), repeated(-2)})
		assert.False(c, known.Repeated())
		assert.False(c, known.Repeated(), "it may be returned again for another failure")
	})
}

func TestPanicOfTheClient(t *testing.T) {
	withCrowd(t, func(c *crowd) {
		c.server.panic = true
		for n := range maxLanes + 2 {
			c.call(n, 0)
		}
		for range maxLanes + 1 {
			c.answer(nil)
		}
		require.Len(c, c.errs, maxLanes+2)
		for n, err := range c.errs {
			require.Error(c, err, "caller %d", n)
		}
	})
}

// Whatever the server and the callers do, nobody stays longer than it wants to, nobody gets
// the answer to another, and in the end all lanes are free.
func TestCrowdIsServed(t *testing.T) {
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

// busyServer is a Scripter that takes its time.
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
