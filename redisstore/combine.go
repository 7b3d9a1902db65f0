package redisstore

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxLanes = 2   // scripts that a Store has under way at once
	maxOps   = 128 // ops of several callers in one script, so that it is short
)

// A combiner lets one script decide the batches of several callers.
//
// If a lane is free, a caller sends its own batch at once. Otherwise it queues. A caller that is
// done with a lane hands the lane, and all batches that have queued meanwhile, to one of the
// waiting callers. This leader sends them all in one script. So a batch waits only for a busy lane,
// there is no goroutine, and no lock is held while a caller waits for the server.
//
// The leader is the caller with the latest deadline, so no batch is cut off early. The other
// callers leave at their own deadlines.
type combiner struct {
	client Scripter
	alone  atomic.Bool // batches may be for different servers, so they are not combined

	mu    sync.Mutex
	lanes int     // in use
	queue []*call // in the order of arrival; some may have left
}

// A call is a batch under way. Other callers set its fields before they send on ready, or under the
// lock of the combiner where that is said.
type call struct {
	ctx   context.Context
	names []string
	arg   []byte

	reply string
	err   error
	ready chan struct{} // receives when there is an answer, or when the call must lead

	self [1]*call // room for lead, if it is only itself

	left bool    // its caller has left; under the lock
	lead []*call // what it must send, itself included; under the lock
}

// do decides c.
func (b *combiner) do(c *call) (string, error) {
	if err := c.ctx.Err(); err != nil {
		return "", newError(err)
	}
	if b.alone.Load() {
		if err := b.run(c, []*call{c}); err != nil {
			return "", newError(err)
		}
		return c.reply, c.err
	}
	if !b.enter(c) {
		select {
		case <-c.ready:
		case <-c.ctx.Done():
			if !b.leave(c) {
				return "", newError(c.ctx.Err())
			}
		}
	}
	if c.lead != nil {
		b.send(c)
	}
	return c.reply, c.err
}

// mustSplit reports whether err says that a script had keys of several slots. The server has run
// nothing then, so the batches may be sent again, each by itself. The combiner remembers that. It
// happens if a server is in cluster mode and its client does not know.
func (b *combiner) mustSplit(err error) bool {
	var answer ServerError
	if !errors.As(err, &answer) || !answer.crossSlot() {
		return false
	}
	b.alone.Store(true)
	return true
}

// enter reports whether c has a lane. If not, c is in the queue.
func (b *combiner) enter(c *call) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lanes < maxLanes {
		b.lanes++
		c.self[0] = c
		c.lead = c.self[:]
		return true
	}
	c.ready = make(chan struct{}, 1)
	b.queue = append(b.queue, c)
	return false
}

// leave gives c up, and returns false. If c has been decided meanwhile, leave returns true. If c
// was just made a leader, leave appoints another.
func (b *combiner) leave(c *call) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	c.left = true
	if c.lead != nil {
		b.appoint(c.lead)
		c.lead = nil
		return false
	}
	select {
	case <-c.ready:
		return true
	default:
		return false
	}
}

// send sends what c leads, and passes its lane on.
func (b *combiner) send(c *call) {
	err := errors.New("the client panicked")
	defer func() {
		var failed *Error
		if err != nil {
			failed = newSharedError(err)
		}
		for _, o := range c.lead {
			if failed != nil {
				o.err = failed
			}
			if o != c {
				o.ready <- struct{}{}
			}
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		b.appoint(nil)
	}()
	err = b.run(c, c.lead)
}

// run decides all calls, which c leads, by one script.
func (b *combiner) run(c *call, calls []*call) error {
	ctx, names, arg := c.ctx, c.names, c.arg
	if len(calls) > 1 {
		// If the leader is canceled, the other callers still want their answers.
		ctx = context.WithoutCancel(ctx)
		if until, ok := c.ctx.Deadline(); ok {
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadline(ctx, until)
			defer cancel()
		}
		names, arg = nil, nil
		for _, o := range calls {
			names, arg = append(names, o.names...), append(arg, o.arg...)
		}
	}
	reply, err := b.client.RunScript(ctx, apply, names, arg)
	if err != nil {
		return err
	}
	return splitReply(reply, calls)
}

// appoint makes one of calls the leader. If they have all left, it takes calls from the queue. If
// these are none, it frees the lane.
func (b *combiner) appoint(calls []*call) {
	calls = slices.DeleteFunc(calls, func(c *call) bool { return c.left })
	if len(calls) == 0 {
		calls = b.take()
	}
	if len(calls) == 0 {
		b.lanes--
		return
	}
	leader := slices.MaxFunc(calls, func(c, o *call) int { return c.until().Compare(o.until()) })
	leader.lead = calls
	leader.ready <- struct{}{}
}

// take removes as many calls from the queue as one script may decide.
func (b *combiner) take() []*call {
	var calls []*call
	ops := 0
	for len(b.queue) > 0 {
		c := b.queue[0]
		if ops += c.size(); ops > maxOps && len(calls) > 0 {
			break
		}
		b.queue[0] = nil
		b.queue = b.queue[1:]
		if c.left {
			ops -= c.size()
			continue
		}
		calls = append(calls, c)
	}
	return calls
}

// size returns how many ops c has.
func (c *call) size() int { return len(c.arg) / opSize }

// until returns the deadline of c, or the end of time.
func (c *call) until() time.Time {
	if until, ok := c.ctx.Deadline(); ok {
		return until
	}
	return time.Unix(1<<62, 0)
}
