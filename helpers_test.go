package ratelimit_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/storefake"
	"github.com/ratelimit-go/ratelimit/store"
)

// ok is a handler that answers 200.
var ok = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })

// rule returns a rule with the limits in text, by the address of the client.
func rule(name, limits string) ratelimit.Rule {
	return ratelimit.Rule{Name: name, Limits: ratelimit.MustParse(limits)}
}

func newLimiter(t testing.TB, cfg ratelimit.Config) *ratelimit.Limiter {
	t.Helper()
	l, err := ratelimit.New(cfg)
	require.NoError(t, err)
	return l
}

// serve returns the response of h to r.
func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// request returns a request of a peer, with header fields given as names and values.
func request(remote string, headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.RemoteAddr = remote
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

// named returns the limit in text as number index of the named rule.
func named(t testing.TB, rule string, index int, text string) *store.Limit {
	t.Helper()
	l := ratelimit.MustParse(text)[0]
	limit, err := store.NewLimit(rule, index, l.Count, l.Period, l.Burst)
	require.NoError(t, err)
	return limit
}

// apply applies ops to s and returns them with their results.
func apply(t testing.TB, s store.Store, ops ...store.Op) []store.Op {
	t.Helper()
	require.NoError(t, s.Apply(context.Background(), ops))
	return ops
}

// blocking returns a rule that allows one request per hour. All other requests are violations.
func blocking(b ratelimit.Block) ratelimit.Rule {
	r := rule("p", "1 per hour")
	r.Block = &b
	return r
}

// counting returns a rule that counts only responses for which counts reports true.
func counting(name, limits string, counts func(ratelimit.Response) bool) ratelimit.Rule {
	r := rule(name, limits)
	r.CountOnly = counts
	return r
}

// charging returns a rule whose requests cost what cost returns for their response.
func charging(name, limits string, cost func(ratelimit.Response) int64) ratelimit.Rule {
	r := rule(name, limits)
	r.ResponseCost = cost
	return r
}

// client returns the key of the client that sends requests as 192.0.2.1.
func client() ratelimit.Key { return ratelimit.AddrKey(netip.MustParseAddr("192.0.2.1")) }

// remaining returns how many tokens the client 192.0.2.1 has left under the named rule.
func remaining(t testing.TB, l *ratelimit.Limiter, rule string) int64 {
	t.Helper()
	d, err := l.Peek(t.Context(), rule, client())
	require.NoError(t, err)
	return d.Remaining
}

func newMortal() *storefake.Mortal {
	return &storefake.Mortal{Store: ratelimit.NewMemoryStore(ratelimit.MemoryConfig{})}
}

// unreported returns hooks that drop errors and changes of the store's state.
func unreported() ratelimit.Hooks {
	return ratelimit.Hooks{
		Error:      func(context.Context, error) {},
		StoreState: func(context.Context, store.State) {},
	}
}

// limitedBy returns a handler behind one rule.
func limitedBy(t testing.TB, limits string, by ratelimit.Keyer) http.Handler {
	t.Helper()
	r := ratelimit.Rule{Name: "r", Limits: ratelimit.MustParse(limits), Key: by}
	return newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{r}}).Handler(ok)
}

// codes returns the statuses of the responses to requests, one after another.
func codes(h http.Handler, requests ...*http.Request) []int {
	all := make([]int, len(requests))
	for i, r := range requests {
		all[i] = serve(h, r).Code
	}
	return all
}

// field returns a function that returns the value of a header field, as the name of a user.
func field(name string) func(*http.Request) string {
	return func(r *http.Request) string { return r.Header.Get(name) }
}

// with returns a request of the client 192.0.2.1 with header fields given as names and values.
func with(headers ...string) *http.Request { return request("192.0.2.1:1", headers...) }

// at returns a request of the client 192.0.2.1 for a path.
func at(path string) *http.Request {
	r := request("192.0.2.1:1")
	r.URL.Path = path
	return r
}
