package connectlimit_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/adapters/connectlimit"
	"github.com/ratelimit-go/ratelimit/store"
)

// limited returns a server of svc behind the Handler of a limiter.
func limited(t *testing.T, cfg ratelimit.Config, svc *service) (addr string) {
	t.Helper()
	cfg.DenyHandler = connectlimit.DenyHandler()
	mux := svc.handler()
	mux.HandleFunc("/plain", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) })
	return serve(t, limiter(t, cfg).Handler(mux))
}

func perMinute(n string) ratelimit.Config {
	return ratelimit.Config{Rules: []ratelimit.Rule{{Name: "calls", Limits: ratelimit.MustParse(n + " per minute")}}}
}

func TestDenialInTheProtocolOfTheClient(t *testing.T) {
	for name, protocol := range protocols {
		t.Run(name, func(t *testing.T) {
			addr := limited(t, perMinute("1"), &service{})
			_, err := call(t, addr, protocol...)
			require.NoError(t, err)

			_, err = call(t, addr, protocol...)
			requireDenial(t, err)
			requireDenial(t, ping(open(t, addr, protocol...)))
		})
	}
}

func requireDenial(t *testing.T, err error) {
	t.Helper()
	require.Equal(t, connect.CodeResourceExhausted, connect.CodeOf(err), "%v", err)
	assert.Contains(t, err.Error(), `too many calls for "calls" (1 per minute); retry after `)
	assert.InDelta(t, 60, retryInfo(t, err).GetRetryDelay().AsDuration().Seconds(), 10)
	violations := detail[*errdetails.QuotaFailure](t, err).GetViolations()
	require.Len(t, violations, 1)
	assert.Equal(t, `"calls" (1 per minute)`, violations[0].GetDescription())
	var e *connect.Error
	require.ErrorAs(t, err, &e)
	assert.Len(t, e.Meta()["Retry-After"], 1, "%v", e.Meta())
	assert.Contains(t, e.Meta().Get("Ratelimit"), `"calls";r=0;t=`, "%v", e.Meta())
}

// TestRouteOfCallsByGET is about methods without side effects, which clients may call by GET too.
func TestRouteOfCallsByGET(t *testing.T) {
	idempotent := connect.WithIdempotency(connect.IdempotencyNoSideEffects)
	rules := []ratelimit.Rule{{Name: "calls", Limits: ratelimit.MustParse("1 per minute")}}
	for name, options := range map[string][]connect.ClientOption{
		"POST": nil, "GET": {connect.WithHTTPGet(), idempotent},
	} {
		t.Run(name, func(t *testing.T) {
			l := limiter(t, ratelimit.Config{
				Routes: map[string][]ratelimit.Rule{empty: rules}, DenyHandler: connectlimit.DenyHandler(),
			})
			method := ""
			mux := (&service{}).handler(idempotent)
			addr := serve(t, l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				method = r.Method
				mux.ServeHTTP(w, r)
			})))
			_, err := call(t, addr, options...)
			require.NoError(t, err)
			assert.Equal(t, name, method)
			_, err = call(t, addr, options...)
			requireDenial(t, err)
		})
	}
}

// TestDenialOnTheWire looks at what clients without an RPC library see.
func TestDenialOnTheWire(t *testing.T) {
	tests := []struct {
		name, method, path, contentType string
		status                          int
		want                            string // in the body
	}{
		{"Connect", "POST", empty, "application/json", 429, `"code":"resource_exhausted"`},
		{"Connect GET", "GET", empty + "?encoding=json&message=%7B%7D&connect=v1", "", 429, `"code":"resource_exhausted"`},
		{"gRPC", "POST", empty, "application/grpc", 200, ""},
		{"gRPC-Web", "POST", empty, "application/grpc-web+proto", 200, ""},
		{"a browser", "GET", "/plain", "", 429, `"title"`},
		{"a form that is sent by GET", "GET", "/plain?message=hello", "", 429, `"title"`},
		{"a form", "POST", "/plain", "application/x-www-form-urlencoded", 429, `"title"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			addr := limited(t, perMinute("1"), &service{})
			_, err := call(t, addr)
			require.NoError(t, err)
			r, err := http.NewRequestWithContext(t.Context(), tt.method, "http://"+addr+tt.path, strings.NewReader(""))
			require.NoError(t, err)
			if tt.contentType != "" {
				r.Header.Set("Content-Type", tt.contentType)
			}
			res, err := httpClient(t).Do(r)
			require.NoError(t, err)
			body, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			assert.Equal(t, tt.status, res.StatusCode)
			assert.Contains(t, string(body), tt.want)
			assert.Len(t, res.Header["Retry-After"], 1)
			if strings.Contains(tt.contentType, "grpc") {
				assert.Equal(t, "8", res.Header.Get("Grpc-Status"))
				assert.NotEmpty(t, res.Header.Get("Grpc-Retry-Pushback-Ms"))
				assert.Empty(t, body)
				assert.Empty(t, res.Trailer)
			}
		})
	}
}

func TestOtherDenials(t *testing.T) {
	blockedClient := new(ratelimit.List)
	require.NoError(t, blockedClient.Replace([]string{"127.0.0.1"}))
	broken := perMinute("1")
	broken.Store, broken.OnStoreFailure = brokenStore{}, ratelimit.FailClosed
	broken.Hooks = ratelimit.Hooks{
		Error: func(context.Context, error) {}, StoreState: func(context.Context, store.State) {},
	}
	tooMuch := perMinute("1")
	tooMuch.Rules[0].Cost = func(*http.Request) int64 { return 5 }
	tests := []struct {
		name   string
		cfg    ratelimit.Config
		code   connect.Code
		status int
	}{
		{"deny list", ratelimit.Config{Deny: blockedClient}, connect.CodePermissionDenied, 403},
		{"store", broken, connect.CodeUnavailable, 503},
		{"more than the burst", tooMuch, connect.CodeResourceExhausted, 429},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			addr := limited(t, tt.cfg, &service{})
			for name, protocol := range protocols {
				_, err := call(t, addr, protocol...)
				assert.Equal(t, tt.code, connect.CodeOf(err), "%s: %v", name, err)
				if tt.name != "store" {
					assert.Nil(t, retryInfo(t, err), name)
				}
			}
			res, err := httpClient(t).Post("http://"+addr+empty, "application/proto", http.NoBody)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			assert.Equal(t, tt.status, res.StatusCode)
		})
	}
}

// A rule with OmitHeaders stays out of the answers of all protocols, and no client learns its name.
func TestOmitHeaders(t *testing.T) {
	cfg := perMinute("1")
	cfg.Rules[0].OmitHeaders = true
	addr := limited(t, cfg, &service{})
	_, err := call(t, addr)
	require.NoError(t, err)
	for name, protocol := range protocols {
		t.Run(name, func(t *testing.T) {
			_, err := call(t, addr, protocol...)
			require.Equal(t, connect.CodeResourceExhausted, connect.CodeOf(err))
			assert.NotContains(t, err.Error(), "minute")
			assert.NotContains(t, err.Error(), "calls\"")
			assert.Nil(t, detail[*errdetails.QuotaFailure](t, err))
			assert.NotNil(t, retryInfo(t, err))
		})
	}
}

// brokenStore fails.
type brokenStore struct{}

func (brokenStore) Apply(context.Context, []store.Op) error { return errors.New("connection lost") }

func TestRoutesAreProcedures(t *testing.T) {
	addr := limited(t, ratelimit.Config{Routes: map[string][]ratelimit.Rule{
		"POST " + empty: {{Name: "empty", Limits: ratelimit.MustParse("1 per hour")}},
	}}, &service{})
	_, err := call(t, addr, connect.WithGRPC())
	require.NoError(t, err)
	_, err = call(t, addr)
	assert.Equal(t, connect.CodeResourceExhausted, connect.CodeOf(err))
	assert.NoError(t, ping(open(t, addr)), "another procedure")
}

// TestClientsThatShareAKeyComeOneAfterAnother has all clients share a bucket. The limiter tells
// them different waits, and RetryInfo is not shorter than Retry-After.
func TestClientsThatShareAKeyComeOneAfterAnother(t *testing.T) {
	cfg := perMinute("1")
	cfg.Rules[0].Key = ratelimit.Global("all")
	addr := limited(t, cfg, &service{})
	_, err := call(t, addr)
	require.NoError(t, err)
	for range 5 {
		_, err = call(t, addr)
		var e *connect.Error
		require.ErrorAs(t, err, &e)
		told, err := strconv.Atoi(e.Meta().Get("Retry-After"))
		require.NoError(t, err)
		wait := retryInfo(t, e).GetRetryDelay().AsDuration().Seconds()
		assert.LessOrEqual(t, wait, float64(told))
		assert.Greater(t, wait, float64(told-1))
	}
	_, err = call(t, addr)
	assert.Greater(t, retryInfo(t, err).GetRetryDelay().AsDuration(), 2*time.Minute)
}
