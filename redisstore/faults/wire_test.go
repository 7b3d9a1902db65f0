package faults

import (
	"strings"
	"testing"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

// A wire is a connection to a server that a test can slow down, make deaf, or cut.
type wire struct {
	t     testing.TB
	proxy *toxiproxy.Proxy
}

func newWire(t testing.TB, upstream string) *wire {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	w := &wire{t: t, proxy: toxiproxy.NewProxy(server, "wire", "127.0.0.1:0", upstream)}
	require.NoError(t, w.proxy.Start())
	t.Cleanup(w.proxy.Stop)
	return w
}

func (w *wire) addr() string { return w.proxy.Listen }

// client returns a client at this end of the wire. Its pool is large, because after as many
// failures in a row the client dials only once per second.
func (w *wire) client() *redis.Client {
	c := redis.NewClient(&redis.Options{
		Addr: w.addr(), ContextTimeoutEnabled: true, DialerRetries: 1, DisableIdentity: true, PoolSize: 10_000,
	})
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

// toxic adds a toxic of toxiproxy, described in JSON.
func (w *wire) toxic(json string) {
	w.t.Helper()
	_, err := w.proxy.Toxics.AddToxicJson(strings.NewReader(json))
	require.NoError(w.t, err)
}

// deaf swallows all bytes in one direction: "upstream" are requests, "downstream" are answers.
// Connections stay open.
func (w *wire) deaf(direction string) {
	w.t.Helper()
	w.toxic(`{"type": "timeout", "stream": "` + direction + `", "attributes": {"timeout": 0}}`)
}

// heal removes the toxics. It cuts connections that were deaf.
func (w *wire) heal() { w.proxy.Toxics.ResetToxics(w.t.Context()) }

// cut closes all connections, and accepts no new ones until mend.
func (w *wire) cut() { w.proxy.Stop() }

func (w *wire) mend() {
	w.t.Helper()
	require.NoError(w.t, w.proxy.Start())
}
