package postgresstore

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// maxOps is how many ops of several callers one statement decides, so that it is short.
const maxOps = 256

// A combiner lets one statement decide the batches of several callers.
//
// If a lane is free, a caller sends its own batch at once. Otherwise it queues. A caller that is
// done with a lane hands the lane, and all batches that have queued meanwhile, to one of the
// waiting callers. This leader sends them all in one statement. So a batch waits only for a busy
// lane, there is no goroutine, and no lock is held while a caller waits for the server.
//
// The leader is the caller with the latest deadline, so no batch is cut off early. The other
// callers leave at their own deadlines.
type combiner struct {
	run   func(ctx context.Context, s statement) ([]int64, error)
	most  int          // lanes: statements under way at once
	sweep atomic.Int64 // blocks swept so far

	mu    sync.Mutex
	lanes int     // in use
	queue []*call // in the order of arrival; some may have left
}

// A call is a batch under way. Other callers set its fields before they send on ready, or under the
// lock of the combiner where that is said.
type call struct {
	ctx   context.Context
	names []name  // of the bucket of each op
	words []int64 // opWords for each op

	reply reply
	err   error
	ready chan struct{} // receives when there is an answer, or when the call must lead

	left bool    // its caller has left; under the lock
	lead []*call // what it must send, itself included; under the lock
}

// do decides c.
func (b *combiner) do(c *call) error {
	if err := c.ctx.Err(); err != nil {
		return newError(err)
	}
	if !b.enter(c) {
		select {
		case <-c.ready:
		case <-c.ctx.Done():
			if !b.leave(c) {
				return newError(c.ctx.Err())
			}
		}
	}
	if c.lead != nil {
		b.send(c)
	}
	return c.err
}

// enter reports whether c has a lane. If not, c is in the queue.
func (b *combiner) enter(c *call) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lanes < b.most {
		b.lanes++
		c.lead = []*call{c}
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
	err := errors.New("the driver panicked")
	defer func() {
		var failed *Error
		if err != nil {
			failed = newError(err)
			if len(c.lead) > 1 {
				failed = failed.shared()
			}
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
	err = b.decide(c, c.lead)
}

// decide decides all calls, which c leads, by one statement.
func (b *combiner) decide(c *call, calls []*call) error {
	ctx := c.ctx
	if len(calls) > 1 {
		// If the leader is canceled, the other callers still want their answers.
		ctx = context.WithoutCancel(ctx)
		if until, ok := c.ctx.Deadline(); ok {
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadline(ctx, until)
			defer cancel()
		}
	}
	all, err := b.run(ctx, merge(calls))
	if err != nil {
		return err
	}
	swept, err := splitReply(all, calls)
	b.sweep.Add(swept)
	return err
}

// A statement is what the server decides at once, see sql/apply.sql.
type statement struct {
	keys   []name  // of the rows, sorted, each once
	firsts []int64 // the first bucket of each row, from 1 on, and one more for the end
	limits []int64 // the place of the limit of each bucket
	words  []int64 // all ops
}

// merge returns one statement for calls.
func merge(calls []*call) statement {
	var s statement
	var buckets []name
	for _, c := range calls {
		buckets, s.words = append(buckets, c.names...), append(s.words, c.words...)
	}
	ops := slices.Clone(buckets)
	compare := func(a, b name) int { return bytes.Compare(a[:], b[:]) }
	slices.SortFunc(buckets, compare)
	buckets = slices.Compact(buckets)
	for i := range ops {
		at, _ := slices.BinarySearchFunc(buckets, ops[i], compare)
		s.words[opWords*i+wordBucket] = int64(at + 1)
	}
	for i, b := range buckets {
		row, place := b.split()
		if len(s.keys) == 0 || s.keys[len(s.keys)-1] != row {
			s.keys, s.firsts = append(s.keys, row), append(s.firsts, int64(i+1))
		}
		s.limits = append(s.limits, int64(place))
	}
	s.firsts = append(s.firsts, int64(len(buckets)+1))
	s.setPlain(calls)
	return s
}

// setPlain makes batches not plain that lead in a row of which other batches use other buckets.
func (s *statement) setPlain(calls []*call) {
	words := s.words
	for _, c := range calls {
		n := len(c.words)
		for at := 0; at < n; at += opWords {
			if leads := words[at+wordLeads]; leads > 0 {
				row, found := slices.BinarySearch(s.firsts, words[at+wordBucket])
				if !found {
					row--
				}
				if s.firsts[row+1]-s.firsts[row] > leads {
					words[wordPlain] = 0
				}
			}
		}
		words = words[n:]
	}
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

// take removes as many calls from the queue as one statement may decide.
func (b *combiner) take() []*call {
	var calls []*call
	ops := 0
	for len(b.queue) > 0 {
		c := b.queue[0]
		if ops += len(c.names); ops > maxOps && len(calls) > 0 {
			break
		}
		b.queue[0] = nil
		b.queue = b.queue[1:]
		if c.left {
			ops -= len(c.names)
			continue
		}
		calls = append(calls, c)
	}
	return calls
}

// until returns the deadline of c, or the end of time.
func (c *call) until() time.Time {
	if until, ok := c.ctx.Deadline(); ok {
		return until
	}
	return time.Unix(1<<62, 0)
}
