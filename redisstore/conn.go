package redisstore

import (
	"bytes"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// An exchange is what was sent, and what was received until the next was sent.
type exchange struct{ sent, received []byte }

// A recorder is a connection that remembers what was said on it, and that stays open.
type recorder struct {
	net.Conn
	said []exchange
	sent time.Time
	trip time.Duration // the shortest
}

func (r *recorder) Close() error { return nil }

func (r *recorder) Write(b []byte) (int, error) {
	r.said, r.sent = append(r.said, exchange{sent: bytes.Clone(b)}), time.Now()
	return r.Conn.Write(b)
}

func (r *recorder) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	r.trip = min(r.trip, time.Since(r.sent))
	if last := len(r.said) - 1; last >= 0 {
		r.said[last].received = append(r.said[last].received, b[:n]...)
	}
	return n, err
}

// A conn is a connection whose handshake is over. If its user sends what was sent in the
// handshake, in the same order, the answer comes from memory. The first other thing ends that.
type conn struct {
	net.Conn
	link      *link
	handshake []exchange
	trip      time.Duration // what a round trip takes at least
	dialed    int64
	heard     atomic.Int64
	parked    int64

	said    []exchange // the rest of the handshake
	pending []byte     // received and not yet read
	until   time.Time  // the deadline for writing
	sent    time.Time  // when the last write was not refused; zero if there was an answer since

	// Close may be called at any time: the client closes connections that are in use.
	late   atomic.Bool // the last write was refused for lack of time, and nothing is left to read
	closed atomic.Bool
}

// again returns c as it was after the handshake. The server has answered everything since then.
func (c *conn) again() *conn {
	fresh := &conn{Conn: c.Conn, link: c.link, handshake: c.handshake, trip: c.trip, dialed: c.dialed}
	fresh.said = c.handshake
	fresh.heard.Store(c.heard.Load())
	return fresh
}

func (c *conn) SetDeadline(t time.Time) error {
	c.until = t
	return c.Conn.SetDeadline(t)
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.until = t
	return c.Conn.SetWriteDeadline(t)
}

func (c *conn) Write(b []byte) (int, error) {
	if c.closed.Load() { // another call may use the connection below
		return 0, net.ErrClosed
	}
	for i := range c.said {
		if bytes.Equal(c.said[i].sent, b) {
			c.pending = append(c.pending, c.said[i].received...)
			c.said = c.said[i+1:]
			return len(b), nil
		}
	}
	late := c.link.refused.Load() < maxRefused && !c.until.IsZero() && time.Until(c.until) < c.trip
	c.late.Store(late && len(c.pending) == 0)
	if late {
		c.link.refused.Add(1)
		return 0, os.ErrDeadlineExceeded
	}
	c.said, c.sent = nil, time.Now()
	return c.Conn.Write(b)
}

// Close keeps the connection if the client gives it up because there was no time for a command.
func (c *conn) Close() error {
	if c.closed.Swap(true) {
		return net.ErrClosed
	}
	if c.late.Load() && !c.suspect() && c.link.park(c) {
		return nil
	}
	return c.Conn.Close()
}

// suspect reports whether the connection may be dead.
func (c *conn) suspect() bool {
	return c.heard.Load() < c.link.silent.Load() || c.dialed < c.link.renewed.Load()
}

func (c *conn) Read(b []byte) (int, error) {
	if c.closed.Load() {
		return 0, net.ErrClosed
	}
	if len(c.pending) > 0 {
		n := copy(b, c.pending)
		if c.pending = c.pending[n:]; len(c.pending) == 0 {
			c.pending = nil
		}
		return n, nil
	}
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.heard.Store(c.link.now())
		if !c.sent.IsZero() {
			c.trip, c.sent = min(c.trip, time.Since(c.sent)), time.Time{}
			c.link.refused.Store(0)
		}
	} else if err != nil {
		raise(&c.link.lost, c.link.now())
	}
	return n, err
}

// NetConn returns the connection below, as crypto/tls does.
func (c *conn) NetConn() net.Conn { return c.Conn }

// A checked conn shows the client its socket before each use.
type checked struct{ *conn }

var errSuspect = errors.New("redisstore: the connection may be dead")

// SyscallConn implements [syscall.Conn].
func (c checked) SyscallConn() (syscall.RawConn, error) {
	if c.suspect() {
		return nil, errSuspect
	}
	if s, ok := c.Conn.(syscall.Conn); ok {
		return s.SyscallConn()
	}
	return noSocket{}, nil
}

// noSocket is the socket of a connection that the client cannot look at, such as TLS.
type noSocket struct{}

func (noSocket) Control(func(uintptr)) error    { return nil }
func (noSocket) Read(func(uintptr) bool) error  { return nil }
func (noSocket) Write(func(uintptr) bool) error { return nil }
