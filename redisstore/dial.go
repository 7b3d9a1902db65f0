package redisstore

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// stepTimeout is how long a new connection may wait for one answer of its handshake. A
	// connection that the network has swallowed must not hold its place in the pool for longer.
	stepTimeout = time.Second

	// A conn that was closed for lack of time is offered again for parkTime.
	parkTime  = time.Second
	maxParked = 16

	// maxRefused is how many calls in a row may have too little time. Then the next call tries,
	// because the network may be faster than it was at the handshake.
	maxRefused = 2

	// renewEvery is the shortest time between two replacements of all connections to a server.
	renewEvery = 100 * time.Millisecond
)

// A link is a hook that makes the connections of one client of go-redis fit for short deadlines.
//
// The client dials in a goroutine of its own, which outlives the call that asked for the
// connection. But it does the handshake, of three round trips or more, in the call that is the
// first to use the connection, and closes the connection if the deadline of the call is over. If
// that happens each time, the client never has a connection. So the link does the handshake where
// the client dials, and keeps what was said. If the client begins the handshake, it finds the
// answers in memory.
//
// If a call has less time left than a round trip takes, it must not use the connection: the client
// would close it, and the next call would have to wait for another one, which it meets with as
// little time. The link keeps such a connection for the next call.
//
// The link also knows which connections may be dead. If a call fails, the network may have
// forgotten all connections that were idle since before that call, and each would cost another call
// its deadline. The client does not use them, and dials instead.
type link struct {
	opt    redis.Options
	origin time.Time

	refused atomic.Int64 // calls that had too little time, since the last answer
	lost    atomic.Int64 // when a connection last ended without an answer
	silent  atomic.Int64 // no connection is used that was last heard before
	renewed atomic.Int64 // no connection is used that was dialed before

	// unknown is a script that the server did not know, and that a call had no time to send after
	// that. The next call sends its text at once.
	unknown atomic.Pointer[Script]

	mu     sync.Mutex
	parked []*conn // in the order of time
}

func newLink(client *redis.Client) *link {
	l := &link{opt: *client.Options(), origin: time.Now()}
	if m := l.opt.MaintNotificationsConfig; m != nil {
		l.opt.MaintNotificationsConfig = m.Clone() // the client changes its own
	}
	l.renewed.Store(-int64(renewEvery))
	client.AddHook(l)
	return l
}

// now returns the time since the link was made.
func (l *link) now() int64 { return int64(time.Since(l.origin)) }

// learn says whether the server knows the text of script now.
func (l *link) learn(script *Script, known bool) {
	if !known {
		l.unknown.Store(script)
	} else if l.unknown.Load() == script {
		l.unknown.Store(nil)
	}
}

// raise makes n at least to.
func raise(n *atomic.Int64, to int64) {
	for old := n.Load(); old < to && !n.CompareAndSwap(old, to); old = n.Load() {
	}
}

// suspect says that a call that began at an instant failed. If that was only because it had to wait
// for a connection, it says nothing about others.
func (l *link) suspect(began int64) {
	if l.lost.Load() >= began {
		raise(&l.silent, began)
	}
}

// renew says that the server is the wrong one, or has another state than when the connections were
// made. Dialed again, the name may lead to another server.
func (l *link) renew() {
	now := l.now()
	if old := l.renewed.Load(); now-old >= int64(renewEvery) {
		l.renewed.CompareAndSwap(old, now)
	}
}

// ProcessHook implements [redis.Hook].
func (l *link) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

// ProcessPipelineHook implements [redis.Hook].
func (l *link) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// DialHook implements [redis.Hook].
func (l *link) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if c := l.unpark(); c != nil {
			return l.wrap(c), nil
		}
		began := l.now()
		c, err := next(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		r := &recorder{Conn: c, trip: stepTimeout}
		if err := l.handshake(ctx, r); err != nil {
			_ = c.Close()
			return nil, err
		}
		kept := &conn{Conn: c, link: l, handshake: r.said, trip: r.trip, dialed: began}
		kept.heard.Store(l.now())
		return l.wrap(kept.again()), nil
	}
}

// wrap returns what the client is to use.
func (l *link) wrap(c *conn) net.Conn {
	_, plain := c.Conn.(syscall.Conn)
	if !plain && (l.opt.ClientSideCache != nil || l.opt.ClientSideCacheConfig != nil) {
		return c // the cache must find the socket below TLS
	}
	return checked{c}
}

// park keeps a connection that was closed for lack of time, and reports whether it could.
func (l *link) park(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.parked) >= maxParked {
		return false
	}
	c.parked = l.now()
	l.parked = append(l.parked, c)
	return true
}

// unpark returns a connection that can be used, or nil.
func (l *link) unpark() *conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.parked) > 0 {
		last := len(l.parked) - 1
		c := l.parked[last]
		l.parked[last], l.parked = nil, l.parked[:last]
		if l.now()-c.parked < int64(parkTime) && !c.suspect() {
			return c.again()
		}
		_ = c.Conn.Close()
	}
	return nil
}

var errReady = errors.New("the handshake is over")

// handshake lets a client of its own do the handshake on r. An error means that the connection is
// of no use. If the server rejects the handshake, the client learns that by itself from what was
// said.
func (l *link) handshake(ctx context.Context, r *recorder) error {
	opt := l.opt
	opt.Dialer = func(context.Context, string, string) (net.Conn, error) { return r, nil }
	opt.OnConnect = func(ctx context.Context, cn *redis.Conn) error {
		if l.opt.OnConnect != nil {
			if err := l.opt.OnConnect(ctx, cn); err != nil {
				return err
			}
		}
		return errReady
	}
	opt.MaxRetries, opt.DialerRetries, opt.PoolSize, opt.MinIdleConns, opt.MaxActiveConns = -1, 1, 1, 0, 0
	opt.PipelineReadBufferSize, opt.PipelineWriteBufferSize, opt.PipelinePoolSize = 0, 0, 0
	opt.PushNotificationProcessor = nil // it belongs to the client
	opt.Limiter, opt.ClientSideCache, opt.ClientSideCacheConfig = nil, nil, nil
	opt.ReadTimeout, opt.WriteTimeout, opt.ContextTimeoutEnabled = stepTimeout, stepTimeout, true
	once := redis.NewClient(&opt)
	err := once.Ping(ctx).Err()
	_ = once.Close()
	var answer redis.Error
	if !errors.Is(err, errReady) && !errors.As(err, &answer) {
		return err
	}
	return r.SetDeadline(time.Time{})
}
