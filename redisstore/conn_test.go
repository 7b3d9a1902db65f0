package redisstore

import (
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A client may close a connection while a call is using it, and more than once. It is kept once at
// most, and nothing can be read or written any more.
func TestConnectionIsClosedWhileItIsUsed(t *testing.T) {
	kept := 0
	for range 200 {
		here, there := net.Pipe()
		l := &link{origin: time.Now()}
		c := &conn{Conn: here, link: l, trip: time.Second}
		require.NoError(t, c.SetDeadline(time.Now().Add(time.Millisecond)))
		var all sync.WaitGroup
		all.Go(func() {
			_, err := c.Write([]byte("PING"))
			assert.Error(t, err)
		})
		for range 2 {
			all.Go(func() { _ = c.Close() })
		}
		all.Wait()
		require.ErrorIs(t, c.Close(), net.ErrClosed)
		_, err := c.Write([]byte("PING"))
		require.ErrorIs(t, err, net.ErrClosed)
		_, err = c.Read(make([]byte, 1))
		require.ErrorIs(t, err, net.ErrClosed)
		require.LessOrEqual(t, len(l.parked), 1)
		kept += len(l.parked)
		_, _ = here.Close(), there.Close()
	}
	t.Logf("%d of 200 were kept", kept)
}

// A connection that a call had no time for is kept for the next one.
func TestConnectionIsKeptForLackOfTime(t *testing.T) {
	here, there := net.Pipe()
	defer there.Close()
	l := &link{origin: time.Now()}
	c := &conn{Conn: here, link: l, trip: time.Second}
	require.NoError(t, c.SetDeadline(time.Now().Add(time.Millisecond)))
	_, err := c.Write([]byte("PING"))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, c.Close())
	again := l.unpark()
	require.NotNil(t, again)
	assert.Same(t, here, again.Conn)
	assert.Nil(t, l.unpark())
	require.NoError(t, again.Close())
}
