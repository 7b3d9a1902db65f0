package rueidisstore

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

// NewClient is [rueidis.NewClient] for a client that a Store uses, and nothing else. After a
// decision without an answer, the Store closes the connections that have not answered either.
// Rueidis does that only after Dialer.KeepAlive and ConnWriteTimeout, which are one and ten seconds
// unless set. NewClient returns the errors of rueidis.NewClient.
func NewClient(opt rueidis.ClientOption) (rueidis.Client, error) {
	all := &conns{open: map[*conn]struct{}{}}
	dial := dialerOf(opt)
	opt.DialFn = nil
	opt.DialCtxFn = func(ctx context.Context, addr string, d *net.Dialer, t *tls.Config) (net.Conn, error) {
		c, err := dial(ctx, addr, d, t)
		if err != nil {
			return nil, err
		}
		return all.add(c), nil
	}
	client, err := rueidis.NewClient(opt)
	if err != nil {
		return nil, err
	}
	return watched{client, all}, nil
}

// watched is a client whose connections are known.
type watched struct {
	rueidis.Client
	conns *conns
}

// dialerOf returns how opt says that a client dials.
func dialerOf(
	opt rueidis.ClientOption,
) func(context.Context, string, *net.Dialer, *tls.Config) (net.Conn, error) {
	if opt.DialCtxFn != nil {
		return opt.DialCtxFn
	}
	if opt.DialFn != nil {
		return func(_ context.Context, addr string, d *net.Dialer, t *tls.Config) (net.Conn, error) {
			return opt.DialFn(addr, d, t)
		}
	}
	return func(ctx context.Context, addr string, d *net.Dialer, t *tls.Config) (net.Conn, error) {
		if t == nil {
			return d.DialContext(ctx, "tcp", addr)
		}
		return (&tls.Dialer{NetDialer: d, Config: t}).DialContext(ctx, "tcp", addr)
	}
}

// conns is the open connections of a client.
type conns struct {
	mu   sync.Mutex
	open map[*conn]struct{}
}

// A conn is a connection that knows for how long it has been without an answer.
type conn struct {
	net.Conn
	conns  *conns
	origin time.Time
	asked  atomic.Int64 // since origin: the first write without an answer; 0: there is none
	trip   atomic.Int64 // the quickest answer
}

func (a *conns) add(c net.Conn) *conn {
	n := &conn{Conn: c, conns: a, origin: time.Now()}
	n.trip.Store(int64(time.Hour))
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open[n] = struct{}{}
	return n
}

// closeSilent closes the connections that have been without an answer for much longer than a call
// that took so long, and than an answer takes. A server that stalls for as long as one call loses
// no connection, because the calls of others wait for it too. A nil conns closes nothing.
func (a *conns) closeSilent(took time.Duration) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for c := range a.open {
		asked := c.asked.Load()
		if asked > 0 && c.now()-asked > max(int64(took), c.trip.Load())*3/2 {
			delete(a.open, c)
			_ = c.Conn.Close()
		}
	}
}

// now returns the time since the connection was made.
func (c *conn) now() int64 { return int64(time.Since(c.origin)) }

func (c *conn) Write(b []byte) (int, error) {
	c.asked.CompareAndSwap(0, c.now())
	return c.Conn.Write(b)
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		if asked := c.asked.Swap(0); asked > 0 {
			c.trip.Store(min(c.trip.Load(), c.now()-asked))
		}
	}
	return n, err
}

func (c *conn) Close() error {
	c.conns.mu.Lock()
	delete(c.conns.open, c)
	c.conns.mu.Unlock()
	return c.Conn.Close()
}
