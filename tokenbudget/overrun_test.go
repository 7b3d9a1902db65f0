package tokenbudget_test

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/tokenbudget"
)

func usage(tokens int) string {
	return fmt.Sprintf(`{"usage":{"prompt_tokens":0,"completion_tokens":%d}}`, tokens)
}

// TestAnOverrunIsOwed makes a call that uses 250 of 100 tokens per minute. The next is allowed when
// the debt of 150 is paid.
func TestAnOverrunIsOwed(t *testing.T) {
	now := begin
	cfg := single("100 per minute; 1000 per day")
	cfg.Limiter.Clock = func() time.Time { return now }
	cfg.Budgets[0].MaxDebt = 200
	g := newGuard(t, cfg)
	h := g.Handler(answering(200, asJSON, usage(250)))
	assert.Equal(t, 200, call(h, ask(`{"max_tokens":5000}`, "a")).Code, "the first is never too large")
	assert.Equal(t, int64(200-150), level(t, g, "user per 1m0s", "a"))
	assert.Equal(t, int64(1200-250), level(t, g, "user per 24h0m0s", "a"))

	small := `{"max_tokens":3}` // 6 tokens for the prompt
	w := call(h, ask(small, "a"))
	assert.Equal(t, 429, w.Code)
	assert.Equal(t, "96", w.Header().Get("Retry-After"), "150 of debt and 9 of its own, at 100 a minute")
	assert.Equal(t, "95400", w.Header().Get("Retry-After-Ms"))
	assert.Equal(t, "false", w.Header().Get("X-Should-Retry"), "because it is long")
	assert.Equal(t, "0", w.Header().Get("X-Ratelimit-Remaining-Tokens"))
	assert.Equal(t, 200, call(h, ask(small, "b")).Code, "another key owes nothing")

	now = begin.Add(95_399 * time.Millisecond)
	assert.Equal(t, 429, call(h, ask(small, "a")).Code)
	now = begin.Add(95_400 * time.Millisecond)
	assert.Equal(t, 200, call(h, ask(small, "a")).Code)
}

func TestADebtIsBounded(t *testing.T) {
	cfg := single("100 per minute")
	cfg.Budgets[0].MaxDebt = 30
	g := newGuard(t, cfg)
	call(g.Handler(answering(200, asJSON, usage(5000))), ask(`{"max_tokens":50}`, "a"))
	assert.Zero(t, level(t, g, "user per 1m0s", "a"))
	w := call(g.Handler(answering(200, asJSON, usage(1))), ask(`{"max_tokens":4}`, "a"))
	assert.Equal(t, "24000", w.Header().Get("Retry-After-Ms"), "30 of debt and 10")
}

func TestAnOverrunIsForgiven(t *testing.T) {
	cfg := single("100 per minute")
	cfg.Overrun = tokenbudget.Forgiven
	g := newGuard(t, cfg)
	h := g.Handler(answering(200, asJSON, usage(250)))
	assert.Equal(t, 200, call(h, ask(`{"max_tokens":50}`, "a")).Code)
	assert.Zero(t, level(t, g, "user per 1m0s", "a"))
	w := call(h, ask(`{"max_tokens":4}`, "a"))
	assert.Equal(t, 429, w.Code)
	assert.Equal(t, "6000", w.Header().Get("Retry-After-Ms"), "10 tokens at 100 a minute")
}

// TestFiveParallelCalls is LiteLLM's issue 18730: five calls at once spent 663 of 100 tokens,
// because each was counted when it had ended.
func TestFiveParallelCalls(t *testing.T) {
	const tokens = 133
	tests := map[string]struct {
		body  string
		calls int
	}{
		"with a bound that fits": {`{"max_tokens":40}`, 2}, // 46 reserved by each
		"with a larger bound":    {`{"max_tokens":200}`, 1},
		"without a bound":        {`{}`, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := single("100 per minute")
			cfg.Budgets[0].MaxDebt = 1000
			g := newGuard(t, cfg)
			allowed, others := parallel(5, g, test.body, tokens)
			assert.Equal(t, test.calls, allowed)
			assert.Equal(t, 5-test.calls, others)
			assert.Equal(t, int64(1100-test.calls*tokens), level(t, g, "user per 1m0s", "a"))
		})
	}
}

// parallel makes n calls that are in flight at the same time. Each uses so many tokens.
func parallel(n int, g *tokenbudget.Guard, body string, tokens int) (allowed, denied int) {
	var seen, done sync.WaitGroup // an allowed call ends when all are decided
	seen.Add(n)
	h := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		seen.Done()
		seen.Wait()
		w.WriteHeader(200)
		_, _ = io.WriteString(w, usage(tokens))
	}))
	var ok atomic.Int64
	for range n {
		done.Go(func() {
			if call(h, ask(body, "a")).Code == 200 {
				ok.Add(1)
			} else {
				seen.Done()
			}
		})
	}
	done.Wait()
	return int(ok.Load()), n - int(ok.Load())
}

// TestAllOrNothing denies by the budget of the model, and the budget of the user keeps its tokens.
func TestAllOrNothing(t *testing.T) {
	cfg := single("1000 per minute; 5000 per day")
	cfg.Budgets = append(cfg.Budgets, tokenbudget.Budget{
		Name: "large", Limits: ratelimit.MustParse("100 per minute"), Key: ratelimit.Global("large"),
		Models: []string{"GPT-Large*"},
	})
	g := newGuard(t, cfg)
	h := g.Handler(answering(200, asJSON, usage(90)))
	assert.Equal(t, 200, call(h, ask(`{"model":"gpt-large-2","max_tokens":10}`, "a")).Code)
	before := level(t, g, "user per 1m0s", "a")
	w := call(h, ask(`{"model":"gpt-large-3","max_tokens":10}`, "a"))
	assert.Equal(t, 429, w.Code)
	assert.Equal(t, "100", w.Header().Get("X-Ratelimit-Limit-Tokens"))
	assert.Equal(t, before, level(t, g, "user per 1m0s", "a"))
	assert.Equal(t, int64(10000-90), level(t, g, "user per 24h0m0s", "a"))
	assert.Equal(t, 200, call(h, ask(`{"model":"small","max_tokens":10}`, "a")).Code)
	assert.Equal(t, 429, call(h, ask(`{"max_tokens":10}`, "a")).Code, "no model counts for all budgets")
	for _, tools := range []string{
		`null`, `{}`, `[]`, `[1,{"type":"f","parameters":{"properties":{"model":{}}}}]`,
		`[{"function":{"parameters":{"properties":{"model":{"type":"string"}}}}}]`,
	} {
		body := `{"model":"small","max_tokens":10,"models":null,"tools":` + tools + `}`
		assert.Equal(t, 200, call(h, ask(body, "a")).Code, "%s has one model", body)
	}
	for _, other := range []string{
		`"models":["small","gpt-large"]`, `"fallbacks":[{"model":"gpt-large"}]`, `"Fallbacks":["gpt-large"]`,
		`"tools":[{"type":"f","parameters":1},{"type":"advisor_20260301","name":"advisor","model":"gpt-large"}]`,
		`"tools":[{"type":"openrouter:advisor","parameters":{"model":"gpt-large"}}]`, `"advisor":{"model":"gpt-large"}`,
	} {
		body := `{"model":"small","max_tokens":10,` + other + `}`
		assert.Equal(t, 429, call(h, ask(body, "a")).Code, "%s counts for all budgets", body)
	}
}
