package grpclimit_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/adapters/grpclimit"
	"github.com/ratelimit-go/ratelimit/clientip"
	"github.com/ratelimit-go/ratelimit/rpclimit"
)

// send makes one call with the given metadata.
func send(t testing.TB, c testgrpc.TestServiceClient, pairs ...string) codes.Code {
	t.Helper()
	_, err := c.EmptyCall(metadata.AppendToOutgoingContext(t.Context(), pairs...), &testgrpc.Empty{})
	return status.Code(err)
}

func TestKeyByMetadata(t *testing.T) {
	c := serve(t, &service{}, rpclimit.Config{Limiter: budget(t, "1 per hour"), Rules: []rpclimit.Rule{
		{Name: "calls", Key: rpclimit.ByMetadata("X-Api-Key"), OnMissingKey: ratelimit.DenyRequest},
	}})
	assert.Equal(t, codes.OK, send(t, c, "x-api-key", "a"))
	assert.Equal(t, codes.ResourceExhausted, send(t, c, "x-api-key", "a"))
	assert.Equal(t, codes.OK, send(t, c, "x-api-key", "b"))
	assert.Equal(t, codes.PermissionDenied, send(t, c), "no value")
	assert.Equal(t, codes.PermissionDenied, send(t, c, "x-api-key", ""), "an empty value")
	assert.Equal(t, codes.PermissionDenied, send(t, c, "x-api-key", "c", "x-api-key", "d"), "two values")
}

// TestKeyByClientAddress lets a client claim addresses. Only a proxy that is named is believed.
func TestKeyByClientAddress(t *testing.T) {
	tests := []struct {
		name     string
		source   clientip.Source
		believed codes.Code
	}{
		{"no proxy", clientip.Source{}, codes.ResourceExhausted},
		{"the peer", clientip.Remote(), codes.ResourceExhausted},
		{"another proxy", clientip.ForwardedFor(clientip.TrustedProxies("192.0.2.1")), codes.ResourceExhausted},
		{"the peer is the proxy", clientip.ForwardedFor(clientip.TrustedProxies("127.0.0.1")), codes.OK},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := limiter(t, ratelimit.Config{
				ClientIP: tt.source,
				Budgets:  []ratelimit.Budget{{Name: "calls", Limits: ratelimit.MustParse("1 per hour")}},
			})
			c := serve(t, &service{}, rpclimit.Config{Limiter: l, Rules: []rpclimit.Rule{{Name: "calls"}}})
			assert.Equal(t, codes.OK, send(t, c, "x-forwarded-for", "198.51.100.1"))
			assert.Equal(t, codes.ResourceExhausted, send(t, c, "x-forwarded-for", "198.51.100.1"))
			assert.Equal(t, tt.believed, send(t, c, "x-forwarded-for", "198.51.100.2"))
			want := ratelimit.AddrKey(netipAddr("127.0.0.1"))
			if tt.believed == codes.OK {
				want = ratelimit.AddrKey(netipAddr("198.51.100.1"))
			}
			d, err := l.Peek(t.Context(), "calls", want)
			require.NoError(t, err)
			assert.Zero(t, d.Remaining, "the keys are the keys of HTTP")
		})
	}
}

func TestUnixSocketHasNoAddress(t *testing.T) {
	listener, err := net.Listen("unix", t.TempDir()+"/s")
	require.NoError(t, err)
	g := guard(t, rpclimit.Config{Limiter: budget(t, "1 per hour"), Rules: []rpclimit.Rule{{Name: "calls"}}})
	server := grpc.NewServer(grpclimit.ServerOptions(g)...)
	testgrpc.RegisterTestServiceServer(server, &service{})
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	addr := "unix:" + listener.Addr().String()
	assert.Equal(t, codes.OK, send(t, client(t, addr)))
	assert.Equal(t, codes.ResourceExhausted, send(t, client(t, addr)), "all such clients share a bucket")
}

// TestKeyByPrincipal has authentication outside put the user into the context.
func TestKeyByPrincipal(t *testing.T) {
	type principal struct{}
	authenticate := func(
		ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
	) (any, error) {
		token := metadata.ValueFromIncomingContext(ctx, "authorization")
		return handler(context.WithValue(ctx, principal{}, "user of "+token[0]), req)
	}
	user := func(ctx context.Context) string { name, _ := ctx.Value(principal{}).(string); return name }
	g := guard(t, rpclimit.Config{Limiter: budget(t, "1 per hour"), Rules: []rpclimit.Rule{
		{Name: "calls", Key: rpclimit.ByUser(user)},
	}})
	c := client(t, start(t, &service{}, grpc.ChainUnaryInterceptor(authenticate, grpclimit.Unary(g))))
	assert.Equal(t, codes.OK, send(t, c, "authorization", "1"))
	assert.Equal(t, codes.ResourceExhausted, send(t, c, "authorization", "1"))
	assert.Equal(t, codes.OK, send(t, c, "authorization", "2"))
}

func TestKeyByCertificate(t *testing.T) {
	authority, authorityKey := certificate(t, "authority", nil, nil)
	pool := x509.NewCertPool()
	pool.AddCert(authority)
	pair := func(name string) tls.Certificate {
		cert, key := certificate(t, name, authority, authorityKey)
		return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
	}
	g := guard(t, rpclimit.Config{Limiter: budget(t, "1 per hour"), Rules: []rpclimit.Rule{
		{Name: "calls", Key: rpclimit.ByCertificate(), OnMissingKey: ratelimit.DenyRequest},
	}})
	addr := start(t, &service{}, append(grpclimit.ServerOptions(g), grpc.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{pair("localhost")}, ClientCAs: pool, ClientAuth: tls.VerifyClientCertIfGiven,
		MinVersion: tls.VersionTLS13,
	})))...)
	with := func(certs ...tls.Certificate) codes.Code {
		return send(t, client(t, addr, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
			RootCAs: pool, ServerName: "localhost", Certificates: certs, MinVersion: tls.VersionTLS13,
		}))))
	}
	assert.Equal(t, codes.OK, with(pair("billing")))
	assert.Equal(t, codes.ResourceExhausted, with(pair("billing")), "another certificate of the same subject")
	assert.Equal(t, codes.OK, with(pair("search")))
	assert.Equal(t, codes.PermissionDenied, with(), "no certificate")
	assert.Equal(t, codes.PermissionDenied, send(t, serve(t, &service{}, rpclimit.Config{
		Limiter: budget(t, "1 per hour"), Rules: []rpclimit.Rule{
			{Name: "calls", Key: rpclimit.ByCertificate(), OnMissingKey: ratelimit.DenyRequest},
		},
	})), "no TLS")
}

// certificate returns a certificate that parent has signed, or that has signed itself.
func certificate(
	t *testing.T, name string, parent *x509.Certificate, parentKey *ecdsa.PrivateKey,
) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name, Organization: []string{"Acme"}},
		DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour), IsCA: parent == nil,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	if parent == nil {
		parent, parentKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return cert, key
}
