package faults

import (
	"strings"
	"testing"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

// wire is a way to a server that can be made slow, deaf, or cut.
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

// client returns a client at this end of the wire. After as many failures as its pool is large it
// would by itself try to connect once in a second only, which is not what is tested.
func (w *wire) client() *redis.Client {
	c := redis.NewClient(&redis.Options{
		Addr: w.addr(), ContextTimeoutEnabled: true, DialerRetries: 1, DisableIdentity: true, PoolSize: 10_000,
	})
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

// toxic makes the wire bad, as a description in JSON says.
func (w *wire) toxic(json string) {
	w.t.Helper()
	_, err := w.proxy.Toxics.AddToxicJson(strings.NewReader(json))
	require.NoError(w.t, err)
}

// deaf has the wire swallow what is sent in one direction: requests go "upstream", answers
// "downstream". Connections stay open.
func (w *wire) deaf(direction string) {
	w.t.Helper()
	w.toxic(`{"type": "timeout", "stream": "` + direction + `", "attributes": {"timeout": 0}}`)
}

// heal ends what toxic began. Connections that were deaf are cut.
func (w *wire) heal() { w.proxy.Toxics.ResetToxics(w.t.Context()) }

// cut closes all connections and refuses new ones until mend.
func (w *wire) cut() { w.proxy.Stop() }

func (w *wire) mend() {
	w.t.Helper()
	require.NoError(w.t, w.proxy.Start())
}
