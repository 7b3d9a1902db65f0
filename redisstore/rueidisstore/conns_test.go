package rueidisstore_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/redisstore"
	"github.com/ratelimit-go/ratelimit/redisstore/internal/redistest"
	"github.com/ratelimit-go/ratelimit/redisstore/rueidisstore"
	"github.com/ratelimit-go/ratelimit/store"
)

// ask makes a decision with the usual deadline.
func ask(t testing.TB, s *redisstore.Store) error {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	return s.Apply(ctx, take(t, "a", "1000 per hour"))
}

// encrypted starts a proxy that speaks TLS with clients, and returns its address and what its
// clients must trust.
func encrypted(t testing.TB, server string) (addr string, trust *tls.Config) {
	web := httptest.NewTLSServer(nil) // for its certificate
	t.Cleanup(web.Close)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: web.TLS.Certificates})
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", server)
			if err != nil {
				_ = near.Close()
				continue
			}
			go func() { _, _ = io.Copy(far, near); _ = far.Close() }()
			go func() { _, _ = io.Copy(near, far); _ = near.Close() }()
		}
	}()
	trusted := x509.NewCertPool()
	trusted.AddCert(web.Certificate())
	return l.Addr().String(), &tls.Config{RootCAs: trusted, ServerName: "example.com"}
}

// However a client dials, the store finds out within two seconds that the network has forgotten its
// connections. A client of rueidis alone takes eleven.
func TestNetworkForgetsConnections(t *testing.T) {
	var dials atomic.Int64
	for name, change := range map[string]func(addr string, o *rueidis.ClientOption){
		"TCP": func(string, *rueidis.ClientOption) {},
		"DialFn": func(_ string, o *rueidis.ClientOption) {
			o.DialFn = func(addr string, d *net.Dialer, _ *tls.Config) (net.Conn, error) {
				dials.Add(1)
				return d.Dial("tcp", addr)
			}
		},
		"DialCtxFn": func(_ string, o *rueidis.ClientOption) {
			o.DialCtxFn = func(ctx context.Context, addr string, d *net.Dialer, _ *tls.Config) (net.Conn, error) {
				dials.Add(1)
				return d.DialContext(ctx, "tcp", addr)
			}
		},
		"TLS": nil,
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t).Addr()
			opt := rueidis.ClientOption{DisableCache: true, AlwaysPipelining: true}
			if change == nil {
				server, opt.TLSConfig = encrypted(t, server)
			} else {
				change(server, &opt)
			}
			route := redistest.NewRoute(t, server)
			opt.InitAddress = []string{route.Addr()}
			dials.Store(0)
			client, err := rueidisstore.NewClient(opt)
			require.NoError(t, err)
			t.Cleanup(client.Close)
			s, err := rueidisstore.New(client, redisstore.Config{})
			require.NoError(t, err)
			require.Eventually(t, func() bool { return ask(t, s) == nil }, 5*time.Second, time.Millisecond)
			route.Forget()
			begin := time.Now()
			wantReason(t, ask(t, s), store.ReasonTimeout)
			require.Eventually(t, func() bool { return ask(t, s) == nil }, 5*time.Second, time.Millisecond)
			assert.Less(t, time.Since(begin), 2*time.Second)
			if opt.DialFn != nil || opt.DialCtxFn != nil {
				assert.Greater(t, dials.Load(), int64(1), "the client did not dial as it was told")
			}
		})
	}
}

// NewClient returns the errors of rueidis.
func TestClientCannotConnect(t *testing.T) {
	client, err := rueidisstore.NewClient(rueidis.ClientOption{InitAddress: []string{"127.0.0.1:1"}, DisableCache: true})
	require.Error(t, err)
	assert.Nil(t, client)
}

// A server that stalls for no longer than a deadline loses no connection, because other calls wait
// for it too.
func TestStallEndsNoConnection(t *testing.T) {
	t.Parallel()
	nodes := redistest.StartCluster(t, 1)
	var dials atomic.Int64
	client, err := rueidisstore.NewClient(rueidis.ClientOption{
		InitAddress: []string{nodes[0].Addr()}, DisableCache: true, AlwaysPipelining: true,
		DialCtxFn: func(ctx context.Context, addr string, d *net.Dialer, _ *tls.Config) (net.Conn, error) {
			dials.Add(1)
			return d.DialContext(ctx, "tcp", addr)
		},
	})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	s, err := rueidisstore.New(client, redisstore.Config{})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return ask(t, s) == nil }, 5*time.Second, time.Millisecond)
	before := dials.Load()
	nodes[0].Pause()
	err = ask(t, s)
	nodes[0].Resume()
	wantReason(t, err, store.ReasonTimeout)
	require.Eventually(t, func() bool { return ask(t, s) == nil }, 5*time.Second, time.Millisecond)
	assert.Equal(t, before, dials.Load())
}

// A function of the user that panics while the client dials ends no process, as everywhere else.
func TestPanicInADialIsAFailure(t *testing.T) {
	server := redistest.Start(t)
	route := redistest.NewRoute(t, server.Addr())
	var broken atomic.Bool
	client, err := rueidisstore.NewClient(rueidis.ClientOption{
		InitAddress: []string{route.Addr()}, DisableCache: true,
		DialCtxFn: func(ctx context.Context, addr string, d *net.Dialer, _ *tls.Config) (net.Conn, error) {
			if broken.Load() {
				panic("a bug of the user")
			}
			return d.DialContext(ctx, "tcp", addr)
		},
	})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	s, err := rueidisstore.New(client, redisstore.Config{})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return ask(t, s) == nil }, 5*time.Second, time.Millisecond)
	broken.Store(true)
	route.Cut()
	require.Error(t, ask(t, s))
	require.ErrorContains(t, ask(t, s), "the client panicked: a bug of the user")
}
