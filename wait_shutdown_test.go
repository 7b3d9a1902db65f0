package ratelimit_test

import (
	"context"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// pipes is a listener of connections in memory, which a bubble of synctest can wait for.
type pipes struct {
	connections chan net.Conn
	closed      chan struct{}
	once        sync.Once
}

func newPipes() *pipes { return &pipes{connections: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.connections:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error { p.once.Do(func() { close(p.closed) }); return nil }

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1} }

func (p *pipes) DialContext(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	p.connections <- there
	return here, nil
}

// Shutdown waits for held requests, unless their context ends, as docs/operating.md says.
func TestShutdownWhileRequestsAreHeld(t *testing.T) {
	for _, tc := range []struct {
		name  string
		freed bool
		took  time.Duration
		err   error
		want  int
	}{
		{"held to the deadline of Shutdown", false, 10 * time.Second, context.DeadlineExceeded, 0},
		{"freed by the context of all requests", true, 0, nil, 429},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := patient("r", "1 per minute", 10*time.Minute)
				r.Key = ratelimit.Global("all")
				l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{r, {Name: "few", InFlight: 9}}})
				base, free := context.WithCancel(t.Context())
				defer free()
				server := &http.Server{
					Handler: l.Handler(ok), ReadHeaderTimeout: time.Hour,
					BaseContext: func(net.Listener) context.Context { return base },
				}
				if tc.freed {
					server.RegisterOnShutdown(free)
				}
				listener := newPipes()
				go func() { _ = server.Serve(listener) }()
				transport := &http.Transport{DialContext: listener.DialContext, DisableKeepAlives: true}
				var answers sync.WaitGroup
				get := func(want int) {
					req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://service/", nil)
					res, err := transport.RoundTrip(req)
					if want == 0 {
						assert.Error(t, err)
						return
					}
					if assert.NoError(t, err) {
						assert.Equal(t, want, res.StatusCode)
						assert.NoError(t, res.Body.Close())
					}
				}
				get(200)
				for range 5 {
					answers.Go(func() { get(tc.want) })
				}
				synctest.Wait()
				deadline, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				began := time.Now()
				require.ErrorIs(t, server.Shutdown(deadline), tc.err)
				assert.Less(t, time.Since(began)-tc.took, time.Second, "Shutdown looks now and then")
				assert.NoError(t, server.Close())
				answers.Wait()
				free()
				synctest.Wait()
				requireNoneHeld(t, l)
			})
		})
	}
}
