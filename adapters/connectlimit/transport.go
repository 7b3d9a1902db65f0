package connectlimit

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/netip"
)

// transport tells an rpclimit.Keyer what Connect knows of a call. Interceptors of Connect do not
// see the connection, so there is no TLS.
type transport struct {
	peer   string
	header http.Header
}

func (t *transport) Peer(context.Context) netip.Addr {
	addr, err := netip.ParseAddrPort(t.peer)
	if err != nil {
		return netip.Addr{}
	}
	return addr.Addr()
}

func (t *transport) RemoteAddr(context.Context) string { return t.peer }

func (t *transport) Values(_ context.Context, name string) []string { return t.header[name] }

func (t *transport) Header(context.Context) http.Header { return t.header }

func (t *transport) TLS(context.Context) *tls.ConnectionState { return nil }
