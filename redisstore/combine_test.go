package redisstore

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/store"
)

func TestWaitingCallsAreCombined(t *testing.T) {
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

func TestWaitingCallLeavesAtItsDeadline(t *testing.T) {
	withCrowd(t, func(c *crowd) {
		c.fill()
		c.call(0, time.Second)
		c.call(1, time.Minute)
		time.Sleep(time.Second)
		synctest.Wait()
		c.wantTimeout(0)
		require.NotContains(c, c.errs, 1)
		c.answer(nil)
		c.wantSent(1) // and not the call that has left
		c.answerAll()
		require.NoError(c, c.errs[1])
	})
}

// A script has the latest deadline of its callers. Callers with an earlier deadline leave.
func TestNoCallIsCutOffEarly(t *testing.T) {
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

func TestNoCallWaitsBeyondItsDeadline(t *testing.T) {
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

// If a leader is canceled, the other callers still receive their answers.
func TestCanceledLeader(t *testing.T) {
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

// A caller may leave at the moment at which it is made the leader.
func TestLeaderThatHasLeft(t *testing.T) {
	for name, waiting := range map[string]int{"other callers wait": 3, "no caller waits": 1} {
		t.Run(name, func(t *testing.T) {
			withCrowd(t, func(c *crowd) {
				c.fill()
				var calls []*call
				for n := range waiting {
					o := &call{ctx: c.Context(), names: []string{strconv.Itoa(n)}, arg: make([]byte, opSize)}
					require.False(c, c.enter(o))
					calls = append(calls, o)
				}
				c.answer(nil) // one of them is made the leader, and does not know it
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

// A caller takes an answer that arrives at its deadline.
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

func TestAllCallersOfAScriptReceiveItsError(t *testing.T) {
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

// A script that fails for several callers is one failure.
func TestFailureOfOneScriptIsRepeated(t *testing.T) {
	withCrowd(t, func(c *crowd) {
		c.fill()
		for n := range 3 {
			c.call(n, 0)
		}
		known := &Error{Reason: store.ReasonTimeout, Err: errors.New("of the client")}
		for range maxLanes + 1 {
			c.answer(known)
		}
		repeated := func(n int) bool {
			var e *Error
			require.ErrorAs(c, c.errs[n], &e)
			assert.Equal(c, store.ReasonTimeout, e.Reason)
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
