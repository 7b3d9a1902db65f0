package postgresstore_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/postgresstore"
	"github.com/ratelimit-go/ratelimit/postgresstore/internal/pgtest"
	"github.com/ratelimit-go/ratelimit/tokenbudget"
)

// Two instances share the budgets of package tokenbudget. Each gets 100 streamed calls at once.
// Each call reserves 30 tokens and uses up to 3 more, so the overrun is at most 3 for each call in
// flight. When all calls are settled, the bucket holds exactly what was not used.
func TestTokenBudgetOfTwoInstances(t *testing.T) {
	server := pgtest.Database(t)
	for name, output := range map[string]func(n int) int{
		"calls that use less or more": func(n int) int { return n % 34 },
		"calls that use more":         func(n int) int { return 30 + n%4 },
	} {
		t.Run(name, func(t *testing.T) { tokensOfTwoInstances(t, server, output) })
	}
}

func tokensOfTwoInstances(t *testing.T, server *pgtest.Server, output func(n int) int) {
	const calls, reserved, more, budget = 200, 30, 3, 3000
	var used, allowed, served atomic.Int64
	config := func() tokenbudget.Config {
		return tokenbudget.Config{
			Budgets: []tokenbudget.Budget{{
				Name: "user", Limits: ratelimit.MustParse(fmt.Sprintf("%d per year", budget)), Key: ratelimit.Global(t.Name()),
			}},
			Limiter: ratelimit.Config{
				Store: newStore(t, server, postgresstore.Config{}), StoreTimeout: 10 * time.Second,
				OnStoreFailure: ratelimit.FailClosed,
			},
			Settled: func(_ *http.Request, c tokenbudget.Charge) {
				assert.Equal(t, tokenbudget.ByUsage, c.Basis)
				assert.EqualValues(t, reserved, c.Reserved)
				used.Add(c.Tokens)
				allowed.Add(1)
			},
			OnError: func(_ context.Context, err error) { assert.NoError(t, err) },
		}
	}
	model := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		out := output(int(served.Add(1)))
		for range out {
			_, _ = io.WriteString(w, `data: {"choices":[{"delta":{"content":"a"}}]}`+"\n\n")
			w.(http.Flusher).Flush()
		}
		_, _ = fmt.Fprintf(w, `data: {"choices":[],"usage":{"prompt_tokens":0,"completion_tokens":%d}}`+
			"\n\ndata: [DONE]\n\n", out)
	})
	var guards [2]*tokenbudget.Guard
	var services [2]*httptest.Server
	for i := range guards {
		g, err := tokenbudget.New(config())
		require.NoError(t, err)
		guards[i], services[i] = g, httptest.NewServer(g.Handler(model))
		defer services[i].Close()
	}
	var all sync.WaitGroup
	for i := range calls {
		all.Go(func() {
			body := strings.NewReader(`{"max_tokens":23}    `) // 21 bytes are 7 tokens
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, services[i%2].URL, body)
			assert.NoError(t, err)
			resp, err := http.DefaultClient.Do(r)
			if !assert.NoError(t, err) {
				return
			}
			_, err = io.Copy(io.Discard, resp.Body)
			assert.NoError(t, err)
			_ = resp.Body.Close()
		})
	}
	all.Wait()
	for _, s := range services {
		s.Close() // waits for the handlers
	}
	t.Logf("%d calls used %d of %d tokens", allowed.Load(), used.Load(), budget)
	assert.LessOrEqual(t, used.Load(), int64(budget+more*calls))
	assert.Greater(t, used.Load(), int64(budget/3))
	assert.Less(t, allowed.Load(), int64(calls), "some are denied")
	key, err := ratelimit.Global(t.Name()).Key(nil)
	require.NoError(t, err)
	for _, g := range guards {
		d, err := g.Limiter().Peek(t.Context(), "user per 8760h0m0s", key)
		require.NoError(t, err)
		assert.Equal(t, 2*budget-used.Load(), d.Remaining, "with the room for a debt of 3,000")
	}
}
