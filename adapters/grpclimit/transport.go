package grpclimit

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
)

// Transport tells an rpclimit.Keyer what grpc-go knows of a call. The zero Transport is ready, and
// safe for concurrent use. It implements rpclimit.Transport.
type Transport struct{}

// Peer returns the address of the connection's peer.
func (Transport) Peer(ctx context.Context) netip.Addr {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return netip.Addr{}
	}
	if a, ok := p.Addr.(*net.TCPAddr); ok {
		return a.AddrPort().Addr()
	}
	addr, err := netip.ParseAddrPort(text(p.Addr))
	if err != nil {
		return netip.Addr{}
	}
	return addr.Addr()
}

// RemoteAddr returns the address of the connection's peer with its port.
func (Transport) RemoteAddr(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return ""
	}
	return text(p.Addr)
}

func text(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}

// Values returns the values of an entry of the metadata.
func (Transport) Values(ctx context.Context, name string) []string {
	return metadata.ValueFromIncomingContext(ctx, name)
}

// Header returns the metadata as header fields.
func (Transport) Header(ctx context.Context) http.Header {
	md, _ := metadata.FromIncomingContext(ctx)
	h := make(http.Header, len(md))
	for name, values := range md {
		h[http.CanonicalHeaderKey(name)] = values
	}
	return h
}

// TLS returns the state of the connection, or nil without TLS.
func (Transport) TLS(ctx context.Context) *tls.ConnectionState {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	switch info := p.AuthInfo.(type) {
	case credentials.TLSInfo:
		return &info.State
	case *credentials.TLSInfo:
		return &info.State
	}
	return nil
}
