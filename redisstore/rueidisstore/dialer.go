package rueidisstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

const (
	// A dial ends after minDial, or after tripsOfDial deadlines if they are longer. A deadline has
	// time for a round trip. TCP, TLS, HELLO and two answers take one each.
	minDial     = time.Second
	tripsOfDial = 5

	// maxRefused is how many calls in a row may be refused for lack of time. Then the next call
	// tries, because the network may be faster than it was.
	maxRefused = 2

	slots  = 16_384 // of a Cluster
	groups = 64     // of slots
)

// A dialer has the client make connections outside of the deadlines of decisions.
//
// Rueidis dials within the context of the call that needs a connection. If the deadline of a
// decision is shorter than three round trips, the client never has a connection. Other calls wait
// for the call that dials, even beyond their own deadlines. So
//
//   - at first, and after calls without an answer, a call is not sent before a harmless command has
//     had an answer, in a goroutine of its own.
//   - after a call without an answer, each call is made in a goroutine, until one has an answer.
//
// The client of a Cluster does not tell which server has a key. So the former is known for each
// group of slots, and the latter is true for all groups.
//
// Rueidis closes a connection on which a call alone has run out of time. So a call is not sent if
// it has less time left than a round trip takes.
type dialer struct {
	lost   atomic.Uint64 // calls without an answer
	groups [groups]group
}

// A group is some slots of a Cluster. All keys of a single server are in the first group.
type group struct {
	ready   atomic.Bool   // a call may be sent without a dial
	sound   atomic.Uint64 // what lost was before the last call that had an answer
	trip    atomic.Int64  // the quickest answer since a call had none; 0: not known
	refused atomic.Int64  // calls that were not sent since the last answer

	mu   sync.Mutex
	dial *dial // under way, or nil
}

// A dial is a command whose answer proves that the client has a connection.
type dial struct {
	over chan struct{} // closed at the end
	err  error         // set before that
}

// group returns the group of a slot.
func (d *dialer) group(slot uint16) *group { return &d.groups[slot%slots/(slots/groups)] }

// send sends cmd, which is for key, and returns at the deadline of ctx.
func (c *scripter) send(ctx context.Context, g *group, key string, cmd rueidis.Completed) (string, error) {
	if !g.ready.Load() {
		if err := c.connect(ctx, g, key); err != nil {
			return "", err
		}
		if g.short(ctx) { // leave the connection to the next call, which has all its time
			return "", context.DeadlineExceeded
		}
	} else if g.short(ctx) && g.refused.Add(1) <= maxRefused {
		return "", context.DeadlineExceeded
	}
	began, lost := time.Now(), c.dialer.lost.Load()
	doubt := g.sound.Load() != lost
	var reply string
	var err error
	if !doubt { // a goroutine for each call takes half as much processor time again
		reply, err = c.Do(ctx, cmd).ToString()
	} else {
		reply, err = aside(ctx, func() (string, error) { return c.Do(ctx, cmd).ToString() })
	}
	if took := time.Since(began); !noAnswer(err) {
		g.answered(took, lost)
	} else if ctx.Err() != context.Canceled {
		c.unanswered(g, err, took, doubt)
	}
	return reply, err
}

// unanswered notes that a call had no answer for so long, and whether it was made in doubt. On a
// Cluster, many calls share a connection, which stays open if one of them runs out of time. So the
// first may have met a server that stalls. Otherwise there must be a dial.
func (c *scripter) unanswered(g *group, err error, took time.Duration, doubt bool) {
	late := errors.Is(err, context.DeadlineExceeded)
	if doubt || !late || !c.cluster {
		g.trip.Store(0)
		g.ready.Store(false)
	}
	c.dialer.lost.Add(1)
	if late {
		c.conns.closeSilent(took) // the network may have forgotten the connection, and others
	}
}

// answered notes an answer to a call.
func (g *group) answered(took time.Duration, lost uint64) {
	if trip := g.trip.Load(); trip == 0 || int64(took) < trip {
		g.trip.Store(int64(took))
	}
	if g.refused.Load() != 0 {
		g.refused.Store(0)
	}
	if g.sound.Load() != lost {
		g.sound.Store(lost)
	}
}

// short reports whether ctx leaves too little time for an answer.
func (g *group) short(ctx context.Context) bool {
	until, ok := ctx.Deadline()
	return ok && int64(time.Until(until)) < g.trip.Load()*9/8
}

// connect waits for a dial, and returns at the deadline of ctx.
func (c *scripter) connect(ctx context.Context, g *group, key string) error {
	began, d := time.Now(), c.dial(ctx, g, key)
	select {
	case <-d.over:
		return d.err
	case <-ctx.Done():
		c.conns.closeSilent(time.Since(began))
		return ctx.Err()
	}
}

// dial returns the dial of g that is under way, or a new one.
func (c *scripter) dial(ctx context.Context, g *group, key string) *dial {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.dial != nil {
		return g.dial
	}
	limit := minDial
	if until, ok := ctx.Deadline(); ok {
		limit = max(limit, tripsOfDial*time.Until(until))
	}
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	d := &dial{over: make(chan struct{})}
	g.dial = d
	go protect(func() error { return c.knock(own, g, key) }, func(err error) {
		d.err = err
		g.ready.Store(err == nil)
		g.mu.Lock()
		g.dial = nil
		g.mu.Unlock()
		close(d.over)
		cancel()
	})
	return d
}

// knock sends commands that change nothing to the server of key, until one has an answer. The first
// may meet a connection that has just ended, so there are two. Another one shows how long an answer
// takes without a dial.
func (c *scripter) knock(ctx context.Context, g *group, key string) error {
	began := time.Now()
	err := c.get(ctx, key)
	if err != nil {
		err = c.get(ctx, key)
	}
	if err == nil {
		sent := time.Now()
		err = c.get(ctx, key)
		g.trip.Store(int64(time.Since(sent)))
	}
	if err != nil && ctx.Err() != nil {
		c.conns.closeSilent(time.Since(began))
	}
	return err
}

// get sends a command that changes nothing, and that the server allows, since the scripts need it.
// It returns nil if there was an answer.
func (c *scripter) get(ctx context.Context, key string) error {
	b := c.B().Arbitrary("GET") // not marked as a command that reads, which may go to a replica
	if c.cluster {
		b = b.Keys(key)
	} else {
		b = b.Args(key)
	}
	return c.Do(ctx, b.Build()).NonRedisError()
}

// noAnswer reports whether err is an error, and not what a server has answered.
func noAnswer(err error) bool {
	_, answered := rueidis.IsRedisErr(err)
	return err != nil && !answered && !noString(err)
}

// noString reports whether the answer was no string.
func noString(err error) bool { return rueidis.IsRedisNil(err) || rueidis.IsParseErr(err) }

// aside makes a call in a goroutine, and returns at the deadline of ctx.
func aside(ctx context.Context, call func() (string, error)) (string, error) {
	var reply string
	over := make(chan error, 1)
	go protect(func() (err error) {
		reply, err = call()
		return err
	}, func(err error) { over <- err })
	select {
	case err := <-over:
		return reply, err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

var errPanicked = errors.New("rueidisstore: the client panicked")

// protect makes a call in which a function of the user may panic, such as DialCtxFn, and tells done
// how it ended.
func protect(call func() error, done func(error)) {
	err := errPanicked
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errPanicked, p)
		}
		done(err)
	}()
	err = call()
}
