package rueidisstore_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/redisstore/internal/redistest"
	"github.com/ratelimit-go/ratelimit/store"
)

// Each decision of a server that does not let the script work has the reason of the server, though
// the store lets the server end the connection.
func TestReasonOfEachDecision(t *testing.T) {
	t.Parallel()
	replica := newStore(t, redistest.Start(t).StartReplica().Addr(), "")
	full := newStore(t, redistest.Start(t, "--maxmemory", "1", "--maxmemory-policy", "noeviction").Addr(), "")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for range 6 {
		wantReason(t, replica.Apply(ctx, take(t, "a", "5 per hour")), store.ReasonReadOnly)
		wantReason(t, full.Apply(ctx, take(t, "a", "5 per hour")), store.ReasonMemory)
	}
}

// An answer that is no string is no decision, and no lost connection.
func TestAnswerThatIsNoString(t *testing.T) {
	t.Parallel()
	var answer atomic.Pointer[string]
	s := newStore(t, instead(t, redistest.Start(t).Addr(), &answer), "")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	require.NoError(t, s.Apply(ctx, take(t, "a", "5 per hour")))
	for _, text := range []string{":1\r\n", "_\r\n", "$-1\r\n", "*1\r\n:1\r\n", "+OK\r\n", "$0\r\n\r\n"} {
		answer.Store(&text)
		wantReason(t, s.Apply(ctx, take(t, "a", "5 per hour")), store.ReasonScript)
	}
	answer.Store(nil)
	require.NoError(t, s.Apply(ctx, take(t, "a", "100 per hour")))
}

// instead starts a proxy and returns its address. The proxy passes answer on, unless it is nil,
// instead of each answer of a script.
func instead(t *testing.T, server string, answer *atomic.Pointer[string]) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	pass := func(client, up net.Conn) {
		defer client.Close()
		defer up.Close()
		buf := make([]byte, 64<<10)
		for {
			n, err := up.Read(buf)
			text := buf[:n]
			if other := answer.Load(); other != nil && bytes.HasPrefix(text, []byte("$16\r\n")) {
				text = []byte(*other)
			}
			if _, failed := client.Write(text); err != nil || failed != nil {
				return
			}
		}
	}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			if up, err := net.Dial("tcp", server); err == nil {
				go func() { _, _ = io.Copy(up, client); _ = up.Close() }()
				go pass(client, up)
			}
		}
	}()
	return l.Addr().String()
}
