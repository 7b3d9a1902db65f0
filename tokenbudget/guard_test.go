package tokenbudget_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/store"
	"github.com/ratelimit-go/ratelimit/tokenbudget"
)

func TestTheHandlerGetsTheWholeBody(t *testing.T) {
	g := newGuard(t, single("100000 per minute"))
	body := `{"model":"m","max_tokens":1,"x":"` + strings.Repeat("ü", 50_000) + `"}`
	var got string
	var length int64
	h := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		got, length = string(data), r.ContentLength
		w.WriteHeader(200)
	}))
	r := ask("", "a")
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), -1 // chunked
	assert.Equal(t, 200, call(h, r).Code)
	assert.Equal(t, body, got)
	assert.Equal(t, int64(len(body)), length)
}

// TestBodiesThatAreNotRead shows the answers in both vendors' shapes.
func TestBodiesThatAreNotRead(t *testing.T) {
	cfg := single("1000 per minute")
	cfg.MaxBody = 20
	g := newGuard(t, cfg)
	h := g.Handler(answering(200, asJSON, usage(1)))

	assert.Equal(t, 200, call(h, ask(strings.Repeat(" ", 18)+"{}", "a")).Code)
	w := call(h, ask(strings.Repeat(" ", 19)+"{}", "a"))
	assert.Equal(t, 413, w.Code)
	assert.JSONEq(t, `{"error":{"message":"The request body is longer than 20 bytes.",
		"type":"invalid_request_error","param":null,"code":null}}`, w.Body.String())

	r := ask("{}", "a")
	r.Header["Content-Encoding"] = []string{"identity", "gzip"}
	assert.Equal(t, 415, call(h, r).Code)
	r = ask("{}", "a")
	r.Header.Set("Content-Encoding", "gzip")
	r.Header.Set("Anthropic-Version", "2023-06-01")
	w = call(h, r)
	assert.Equal(t, 415, w.Code)
	assert.JSONEq(t, `{"type":"error","error":{"type":"invalid_request_error",
		"message":"Send the request body without a Content-Encoding."}}`, w.Body.String())
	assert.Equal(t, int64(2000-1), level(t, g, "user per 1m0s", "a"))
}

// A longer wait that an outer handler has set stays, in every field that tells a wait.
func TestLongerWaitOfAnOuterHandlerStays(t *testing.T) {
	g := newGuard(t, single("600 per minute"))
	h := g.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	require.Equal(t, 200, call(h, ask(`{"max_tokens":594}`, "a")).Code)
	for outer, longer := range map[string]bool{"120": true, "Thu, 01 Jan 1970 00:00:00 GMT": false} {
		w := httptest.NewRecorder()
		w.Header().Set("Retry-After", outer)
		h.ServeHTTP(w, ask(`{"max_tokens":1}`, "a"))
		require.Equal(t, 429, w.Code)
		own := []string{"1", w.Header().Get("Retry-After-Ms"), "true"}
		if longer {
			own = []string{"120", "120000", "false"}
		}
		assert.Equal(t, own, []string{
			w.Header().Get("Retry-After"), w.Header().Get("Retry-After-Ms"), w.Header().Get("X-Should-Retry"),
		})
	}
}

func TestFieldsOfBothVendors(t *testing.T) {
	g := newGuard(t, single("600 per minute"))
	h := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Ratelimit-Remaining-Tokens", "of the vendor")
		w.Header().Set("Content-Type", asJSON)
		_, _ = io.WriteString(w, usage(599))
	}))
	const body = `{"max_tokens":594}` // 6 tokens
	w := call(h, ask(body, "a"))
	require.Equal(t, 200, w.Code)
	assert.Equal(t, "600", w.Header().Get("X-Ratelimit-Limit-Tokens"))
	assert.Equal(t, []string{"0"}, w.Header().Values("X-Ratelimit-Remaining-Tokens"))
	assert.Equal(t, "1m0s", w.Header().Get("X-Ratelimit-Reset-Tokens"))

	w = call(h, ask(`{"max_tokens":1}`, "a"))
	require.Equal(t, 429, w.Code)
	assert.Equal(t, "1", w.Header().Get("X-Ratelimit-Remaining-Tokens"))
	assert.Equal(t, "59.9s", w.Header().Get("X-Ratelimit-Reset-Tokens"))
	assert.Equal(t, "1", w.Header().Get("Retry-After"))
	assert.Equal(t, "600", w.Header().Get("Retry-After-Ms"))
	assert.Equal(t, "true", w.Header().Get("X-Should-Retry"))
	assert.JSONEq(t, `{"error":{"message":"Rate limit reached: the limit is 600 tokens, 1 are left, and 7 are requested. `+
		`Try again in 600ms.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}`, w.Body.String())

	r := ask(`{"max_tokens":1}`, "a")
	r.URL.Path = "/v1/messages"
	w = call(h, r)
	require.Equal(t, 429, w.Code)
	assert.Equal(t, "600", w.Header().Get("Anthropic-Ratelimit-Tokens-Limit"))
	assert.Equal(t, "1", w.Header().Get("Anthropic-Ratelimit-Tokens-Remaining"))
	assert.Equal(t, "2026-01-02T03:05:05Z", w.Header().Get("Anthropic-Ratelimit-Tokens-Reset"))
	var e struct {
		Type  string
		Error struct{ Type string }
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &e))
	assert.Equal(t, "error", e.Type)
	assert.Equal(t, "rate_limit_error", e.Error.Type)
}

// TestThroughAReverseProxy has an upstream that compresses if it is allowed to, and fields of its
// own.
func TestThroughAReverseProxy(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", asJSON)
		w.Header().Set("X-Ratelimit-Remaining-Tokens", "77")
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			defer func() { _ = z.Close() }()
			_, _ = io.WriteString(z, usage(25))
			return
		}
		_, _ = io.WriteString(w, usage(25))
	}))
	defer upstream.Close()
	u, err := url.Parse(upstream.URL)
	require.NoError(t, err)
	g := newGuard(t, single("1000 per minute"))
	r := ask(`{"max_tokens":94}`, "a")
	r.Header.Set("Accept-Encoding", "gzip")
	w := call(g.Handler(httputil.NewSingleHostReverseProxy(u)), r)
	assert.Equal(t, usage(25), w.Body.String())
	assert.Equal(t, []string{"900"}, w.Header().Values("X-Ratelimit-Remaining-Tokens"))
	assert.Equal(t, int64(2000-25), level(t, g, "user per 1m0s", "a"))
}

func TestWhatIsNotSeenKeepsTheReservation(t *testing.T) {
	handlers := map[string]http.HandlerFunc{
		"nothing written": func(http.ResponseWriter, *http.Request) {},
		"a panic":         func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"a panic after an error status": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(500)
			panic(http.ErrAbortHandler)
		},
		"a compressed response": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "br")
			_, _ = io.WriteString(w, usage(1))
		},
	}
	for name, f := range handlers {
		t.Run(name, func(t *testing.T) {
			cfg := single("1000 per minute")
			cfg.OnError = expectErrors
			g := newGuard(t, cfg)
			func() {
				defer func() { _ = recover() }()
				call(g.Handler(f), ask(`{"max_tokens":94}`, "a"))
			}()
			assert.Equal(t, int64(1900), level(t, g, "user per 1m0s", "a"))
		})
	}
}

// A long response that is compressed costs its bytes at least.
func TestCompressedResponsesCount(t *testing.T) {
	cfg := single("10000 per minute")
	cfg.OnError = expectErrors
	g := newGuard(t, cfg)
	call(g.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "br")
		_, _ = io.WriteString(w, strings.Repeat("x", 3000))
	})), ask(`{"max_tokens":94}`, "a"))
	assert.Equal(t, int64(20000-1000-6), level(t, g, "user per 1m0s", "a"))
}

func TestKeysThatAreMissing(t *testing.T) {
	tests := map[ratelimit.MissingKey][]int{
		"":                    {200, 429},
		ratelimit.ShareKey:    {200, 429},
		ratelimit.DenyRequest: {403, 403},
		ratelimit.SkipRule:    {200, 200},
	}
	for missing, want := range tests {
		t.Run(string(missing), func(t *testing.T) {
			cfg := single("10 per minute")
			cfg.Budgets[0].OnMissingKey = missing
			g := newGuard(t, cfg)
			h := g.Handler(answering(200, asJSON, usage(10)))
			got := []int{call(h, ask("{}", "")).Code, call(h, ask("{}", "")).Code}
			assert.Equal(t, want, got)
		})
	}
}

func TestFunctionsThatPanic(t *testing.T) {
	cfg := single("1000 per minute")
	var told []string
	cfg.OnError = func(_ context.Context, err error) { told = append(told, err.Error()) }
	cfg.Skip = func(*http.Request) bool { panic("s") }
	cfg.Prompt = func(*http.Request, []byte) int64 { panic("p") }
	cfg.Settled = func(*http.Request, tokenbudget.Charge) { panic("t") }
	cfg.Budgets[0].Key = ratelimit.KeyFunc(func(*http.Request) (ratelimit.Key, error) { panic("k") })
	cfg.Budgets[0].OnMissingKey = ratelimit.SkipRule
	g := newGuard(t, cfg)
	assert.Equal(t, 200, call(g.Handler(answering(200, asJSON, usage(10))), ask("{}", "a")).Code)
	assert.Equal(t, int64(1990), level(t, g, "user per 1m0s", ""), "it counts under the shared key")
	assert.Equal(t, []string{
		"tokenbudget: Skip: panic: s", "tokenbudget: Prompt: panic: p",
		`tokenbudget: budget "user": Key: panic: k`, "tokenbudget: Settled: panic: t",
	}, told, "each is reported once")
}

// A function that skips all paths but one does not skip another spelling of it.
func TestSkipSeesEverySpelling(t *testing.T) {
	for path, skipped := range map[string]bool{
		"/v1/models": true, "/v1/chat": false, "/V1/Chat": false, "/v1/chat/": false, "/v1/%63hat": false,
	} {
		cfg := single("1000 per minute")
		cfg.Skip = func(r *http.Request) bool { return r.URL.Path != "/v1/chat" }
		g := newGuard(t, cfg)
		before, r := level(t, g, "user per 1m0s", "a"), ask("{}", "a")
		r.URL.Path, r.URL.RawPath = strings.ReplaceAll(path, "%63", "c"), path
		require.Equal(t, 200, call(g.Handler(answering(200, asJSON, usage(10))), r).Code)
		assert.Equal(t, skipped, level(t, g, "user per 1m0s", "a") == before, path)
	}
}

// failing is a Store that fails while it is down.
type failing struct {
	store.Store
	down bool
}

func (f *failing) Apply(ctx context.Context, ops []store.Op) error {
	if f.down {
		return errors.New("down")
	}
	return f.Store.Apply(ctx, ops)
}

func TestAStoreThatFails(t *testing.T) {
	tests := map[string]struct {
		policy ratelimit.FailurePolicy
		want   []int // of calls that use 50 tokens
		after  int64 // left when the store is back
	}{
		"open":   {ratelimit.FailOpen, []int{200, 200, 200, 200}, 200},
		"closed": {ratelimit.FailClosed, []int{503, 503, 503, 503}, 200},
		"memory": {ratelimit.UseMemory, []int{200, 429, 429, 429}, 200}, // half of 100 for each instance
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := single("100 per minute")
			f := &failing{Store: ratelimit.NewMemoryStore(ratelimit.MemoryConfig{Clock: frozen}), down: true}
			cfg.Limiter.Store, cfg.Limiter.OnStoreFailure, cfg.Limiter.Instances = f, test.policy, 2
			cfg.Limiter.Clock = nil // so that the limiter tries the store again
			cfg.OnError = expectErrors
			g := newGuard(t, cfg)
			h := g.Handler(answering(200, asJSON, usage(50)))
			got := []int{}
			for range test.want {
				got = append(got, call(h, ask(`{"max_tokens":44}`, "a")).Code)
			}
			assert.Equal(t, test.want, got)
			f.down = false
			assert.Eventually(t, func() bool { return level(t, g, "user per 1m0s", "a") == test.after },
				3*time.Second, 20*time.Millisecond)
		})
	}
}

// TestAStoreThatRecoversBeforeTheEnd reserves while the store is down, and settles when it is back:
// the store refunds nothing that it has not taken.
func TestAStoreThatRecoversBeforeTheEnd(t *testing.T) {
	for _, policy := range []ratelimit.FailurePolicy{ratelimit.FailOpen, ratelimit.UseMemory} {
		t.Run(string(policy), func(t *testing.T) {
			cfg := single("100 per minute")
			f := &failing{Store: ratelimit.NewMemoryStore(ratelimit.MemoryConfig{Clock: frozen})}
			cfg.Limiter.Store, cfg.Limiter.OnStoreFailure = f, policy
			cfg.OnError = expectErrors
			g := newGuard(t, cfg)
			call(g.Handler(answering(200, asJSON, usage(60))), ask(`{"max_tokens":44}`, "a"))
			require.Equal(t, int64(140), level(t, g, "user per 1m0s", "a"))
			f.down = true
			call(g.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				f.down = false
				_, _ = io.WriteString(w, usage(10))
			})), ask(`{"max_tokens":34}`, "a"))
			assert.LessOrEqual(t, level(t, g, "user per 1m0s", "a"), int64(140))
		})
	}
}

func TestRequestsThatCostNothing(t *testing.T) {
	g := newGuard(t, single("10 per minute"))
	h := g.Handler(answering(200, asJSON, `{}`))
	for range 3 {
		r := httptest.NewRequest(http.MethodGet, "/v1/models", nil)
		r.Header.Set("X-User", "a")
		w := call(h, r)
		assert.Equal(t, 200, w.Code)
		assert.Empty(t, w.Header().Get("X-Ratelimit-Limit-Tokens"))
	}
	assert.Equal(t, int64(20), level(t, g, "user per 1m0s", "a"))
	// A handler that does not check the method reads a prompt from this.
	for _, length := range []int64{2, -1} {
		r := httptest.NewRequest(http.MethodGet, "/v1/chat/completions", strings.NewReader(`{}`))
		r.ContentLength = length
		w := call(h, r)
		assert.Equal(t, "10", w.Header().Get("X-Ratelimit-Limit-Tokens"), "it costs")
	}
}
