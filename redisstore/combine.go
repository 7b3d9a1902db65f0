package redisstore

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

const (
	maxLanes = 2   // scripts that a Store has under way at once
	maxOps   = 128 // that one script decides for several callers, so that it is short
)

// combiner has the batches of several callers decided by one script.
//
// A caller sends its own batch at once if one of the lanes is free. If not, it queues. Whoever
// is done with a lane hands it, and what has queued meanwhile, to one of those who wait, who
// sends all of it for all. So there is no delay but for a busy lane, no goroutine, and no lock
// held while a server is waited for. The deadline of the one who sends is the latest of all
// of them, so nobody's batch is cut off early, and the others leave at their own.
type combiner struct {
	client Scripter
	alone  bool // batches may be for different servers, so none is combined

	mu    sync.Mutex
	lanes int     // in use
	queue []*call // in the order of arrival, with some that have left
}

// call is a batch on its way. What others than its caller set, they set before they send on
// ready or, if it says so, under the lock of the combiner.
type call struct {
	ctx   context.Context
	names []string
	arg   []byte

	reply string
	err   error
	ready chan struct{} // told of the answer, or that it has to lead

	left bool    // the caller is gone; under the lock
	lead []*call // what it has to send, itself included; under the lock
}

// do has c decided.
func (b *combiner) do(c *call) (string, error) {
	if err := c.ctx.Err(); err != nil {
		return "", newError(err)
	}
	if b.alone {
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

// enter reports whether c has got a lane. If not, it has been queued.
func (b *combiner) enter(c *call) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lanes < maxLanes {
		b.lanes++
		c.lead = []*call{c}
		return true
	}
	c.ready = make(chan struct{}, 1)
	b.queue = append(b.queue, c)
	return false
}

// leave gives c up, unless it has been decided by now: then it reports true. If c has just
// been told to lead, another has to.
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

// send sends what c leads, and hands its lane on.
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

// run has all calls, led by c, decided by one script.
func (b *combiner) run(c *call, calls []*call) error {
	ctx, names, arg := c.ctx, c.names, c.arg
	if len(calls) > 1 {
		ctx = context.WithoutCancel(ctx) // for the others
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

// appoint makes one of calls lead, or of the queue if they have all left. It gives up the
// lane if nobody is there.
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

// take takes from the queue what one script may decide.
func (b *combiner) take() []*call {
	var calls []*call
	ops := 0
	for len(b.queue) > 0 {
		c := b.queue[0]
		if ops += len(c.arg) / opSize; ops > maxOps && len(calls) > 0 {
			break
		}
		b.queue[0] = nil
		b.queue = b.queue[1:]
		if c.left {
			ops -= len(c.arg) / opSize
			continue
		}
		calls = append(calls, c)
	}
	return calls
}

// until is the deadline of c, the end of time if it has none.
func (c *call) until() time.Time {
	if until, ok := c.ctx.Deadline(); ok {
		return until
	}
	return time.Unix(1<<62, 0)
}
