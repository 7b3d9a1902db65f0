package rpclimit_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/clientip"
	"github.com/ratelimit-go/ratelimit/rpclimit"
)

// TestMissingKey tries every way in which a key can be missing. None makes calls free by accident.
func TestMissingKey(t *testing.T) {
	missing := map[string]rpclimit.Keyer{
		"zero": func(context.Context, rpclimit.Call) (ratelimit.Key, error) { return ratelimit.Key{}, nil },
		"no": func(context.Context, rpclimit.Call) (ratelimit.Key, error) {
			return ratelimit.Key{}, ratelimit.ErrNoKey
		},
		"error": func(context.Context, rpclimit.Call) (ratelimit.Key, error) { return ratelimit.Key{}, errMistake },
		"panic": func(context.Context, rpclimit.Call) (ratelimit.Key, error) { panic("a bug") },
	}
	for name, keyer := range missing {
		failed := name == "error" || name == "panic"
		t.Run(name, func(t *testing.T) {
			for _, policy := range []ratelimit.MissingKey{"", ratelimit.ShareKey, ratelimit.DenyRequest, ratelimit.SkipRule} {
				var told reports
				var denials int
				g := guard(t, rpclimit.Config{
					Limiter: budgets(t, "1 per hour"), Error: told.add,
					Rules:  []rpclimit.Rule{{Name: "a", Key: keyer, OnMissingKey: policy}},
					Denied: func(context.Context, rpclimit.Call, ratelimit.Decision) { denials++ },
				})
				first, second := begin(t.Context(), g, method), begin(t.Context(), g, method)
				switch {
				case policy == ratelimit.DenyRequest:
					require.NotNil(t, first)
					assert.Equal(t, ratelimit.ReasonNoKey, first.Decision.Reason)
					assert.EqualValues(t, 7, first.Code())
					assert.Equal(t, 2, denials)
				case policy == ratelimit.SkipRule && !failed:
					assert.Nil(t, second)
				default:
					assert.Nil(t, first)
					assert.NotNil(t, second, "%s: calls without a key share a bucket", policy)
				}
				if failed {
					assert.Len(t, told.errs, 2, policy)
				} else {
					assert.Empty(t, told.errs, policy)
				}
			}
		})
	}
}

func TestKeyers(t *testing.T) {
	user := rpclimit.ByUser(func(context.Context) string { return "alice" })
	none := rpclimit.ByValue("tenant", func(context.Context) string { return "" })
	broken := func(context.Context, rpclimit.Call) (ratelimit.Key, error) { return ratelimit.Key{}, errMistake }
	call := rpclimit.Call{Method: method, Transport: transport{
		peer: "[2001:db8::1]:1", header: http.Header{"X-Real-Ip": {"192.0.2.7"}, "X-Key": {"secret"}},
	}}
	proxy := clientip.Header("X-Real-IP", clientip.TrustedProxies("2001:db8::/32"))
	tests := []struct {
		name  string
		keyer rpclimit.Keyer
		want  string // empty without a key
	}{
		{"user", user, "user:alice"},
		{"no value", none, ""},
		{"method", rpclimit.ByMethod(), `method:/pkg.Service/Method`},
		{"global", rpclimit.Global("all"), "global:all"},
		{"peer", rpclimit.ByIP(clientip.Remote()), "addr:2001:db8::/64"},
		{"peer by a longer prefix", rpclimit.ByIP(clientip.Remote().IPv6Prefix(48)), "addr:2001:db8::/48"},
		{"proxy", rpclimit.ByIP(proxy), "addr:192.0.2.7"},
		{"client address without a Guard", rpclimit.ByClientIP(), ""},
		{"no metadata", rpclimit.ByMetadata("x-other"), ""},
		{"no certificate", rpclimit.ByCertificate(), ""},
		{"all of", rpclimit.AllOf(user, rpclimit.Global("all")), "user:alice+global:all"},
		{"all of, one missing", rpclimit.AllOf(user, none), ""},
		{"first of", rpclimit.FirstOf(none, user), "user:alice"},
		{"first of none", rpclimit.FirstOf(none, none), ""},
		{"first of, one broken", rpclimit.FirstOf(broken, user), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k, _ := tt.keyer(t.Context(), call)
			if tt.want == "" {
				assert.True(t, k.IsZero(), "%v", k)
				return
			}
			want, err := ratelimit.ParseKey(tt.want)
			if err != nil { // a combination prints as a hash
				want = ratelimit.JoinKeys(ratelimit.UserKey("alice"), ratelimit.ValueKey("global", "all"))
			}
			assert.Equal(t, want, k, "%v", k)
		})
	}
	k, err := rpclimit.ByMetadata("x-key")(t.Context(), call)
	require.NoError(t, err)
	want, err := ratelimit.ByHeader("X-Key").Key(&http.Request{Header: http.Header{"X-Key": {"secret"}}})
	require.NoError(t, err)
	assert.Equal(t, want, k, "the key of HTTP")
	assert.NotContains(t, k.String(), "secret")
}

func TestKeyersPanicAtStartUp(t *testing.T) {
	assert.Panics(t, func() { rpclimit.ByMetadata("") })
	assert.Panics(t, func() { rpclimit.ByMetadata("x key") })
	assert.Panics(t, func() { rpclimit.Global("") })
	assert.Panics(t, func() { rpclimit.ByIP(clientip.ForwardedFor(clientip.TrustedProxies("nonsense"))) })
}

func TestCertificate(t *testing.T) {
	verified := &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{
		{Subject: pkix.Name{CommonName: "billing", Organization: []string{"Acme"}}},
	}}}
	unverified := &tls.ConnectionState{PeerCertificates: verified.VerifiedChains[0]}
	nameless := &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{{}}}}
	for _, tt := range []struct {
		name  string
		state *tls.ConnectionState
		want  ratelimit.Key
	}{
		{"verified", verified, ratelimit.ValueKey("certificate", "CN=billing,O=Acme")},
		{"not verified", unverified, ratelimit.Key{}},
		{"no subject", nameless, ratelimit.Key{}},
	} {
		k, _ := rpclimit.ByCertificate()(t.Context(), rpclimit.Call{Transport: transport{state: tt.state}})
		assert.Equal(t, tt.want, k, tt.name)
	}
}
