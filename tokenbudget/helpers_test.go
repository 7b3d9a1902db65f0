package tokenbudget_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/tokenbudget"
)

var begin = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// frozen is a clock at which no token flows in.
func frozen() time.Time { return begin }

func newGuard(t *testing.T, cfg tokenbudget.Config) *tokenbudget.Guard {
	t.Helper()
	if cfg.OnError == nil {
		cfg.OnError = func(_ context.Context, err error) { t.Errorf("unexpected: %v", err) }
	}
	g, err := tokenbudget.New(cfg)
	require.NoError(t, err)
	return g
}

// single returns a Config with one budget for each value of X-User, and a clock that stands still.
func single(limits string) tokenbudget.Config {
	return tokenbudget.Config{
		Budgets: []tokenbudget.Budget{{
			Name: "user", Limits: ratelimit.MustParse(limits), Key: ratelimit.ByHeader("X-User"),
		}},
		Limiter: ratelimit.Config{Clock: frozen},
	}
}

// level returns the tokens that the bucket of a limit holds, with the part that is a debt.
func level(t *testing.T, g *tokenbudget.Guard, name, user string) int64 {
	t.Helper()
	key, err := ratelimit.ByHeader("X-User").Key(ask("", user))
	if err != nil {
		key = ratelimit.ValueKey("tokenbudget", "no key")
	}
	d, err := g.Limiter().Peek(t.Context(), name, key)
	require.NoError(t, err)
	return d.Remaining
}

// ask returns a request with a body.
func ask(body, user string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(body))
	if user != "" {
		r.Header.Set("X-User", user)
	}
	return r
}

// answering returns a handler that answers with a body.
func answering(status int, media, body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", media)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

func call(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// events returns a stream with these data.
func events(data ...string) string {
	var b strings.Builder
	for _, d := range data {
		b.WriteString("data: " + d + "\n\n")
	}
	return b.String()
}

// expectErrors ignores errors of a test that provokes them.
func expectErrors(context.Context, error) {}
