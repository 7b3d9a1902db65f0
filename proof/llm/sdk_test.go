package llm_test

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anthropics/anthropic-sdk-go"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/option"
	"github.com/openai/openai-go/v3"
	openaioption "github.com/openai/openai-go/v3/option"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/tokenbudget"
)

var begin = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func frozen() time.Time { return begin }

// withoutRetries returns the SDKs with retries switched off.
func (v *vendor) withoutRetries() clients {
	return clients{v.openAI(openaioption.WithMaxRetries(0)), v.anthropic(anthropicoption.WithMaxRetries(0))}
}

// header returns the API key of a call, as its SDK sends it.
func header(name string) (field, value string) {
	if strings.HasPrefix(name, "anthropic") {
		return "X-Api-Key", "secret"
	}
	return "Authorization", "Bearer secret"
}

// TestEachKindOfCallIsChargedItsUsage makes three calls of 20 tokens of prompt, 12 of them cached
// at a quarter, and 5 of output. Each costs 8 + 3 + 5.
func TestEachKindOfCallIsChargedItsUsage(t *testing.T) {
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			v := &vendor{input: 20, output: 5, cached: 12}
			cfg := tokenbudget.Config{CacheRead: 0.25, Limiter: ratelimit.Config{Clock: frozen}}
			start(t, v, cfg, "1000 per minute; 5000 per day")
			for range 3 {
				require.NoError(t, call(t.Context(), v.withoutRetries(), 50))
			}
			total, charges := v.charged()
			equalCharges(t, 16, charges, 3)
			field, value := header(name)
			assert.Equal(t, 1000-total, v.left(t, field, value, 1000))
		})
	}
}

// TestADenialIsTheTypedErrorOfTheSDK empties the budget, and reads what the next call gets.
func TestADenialIsTheTypedErrorOfTheSDK(t *testing.T) {
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			v := &vendor{input: 20, output: 80}
			start(t, v, tokenbudget.Config{Limiter: ratelimit.Config{Clock: frozen}}, "100 per minute")
			require.NoError(t, call(t.Context(), v.withoutRetries(), 10_000), "the first is never too large")
			err := call(t.Context(), v.withoutRetries(), 10)
			require.Error(t, err)
			var resp *http.Response
			if strings.HasPrefix(name, "anthropic") {
				var e *anthropic.Error
				require.ErrorAs(t, err, &e)
				assert.Equal(t, anthropic.ErrorTypeRateLimitError, e.Type())
				assert.Equal(t, "100", e.Response.Header.Get("anthropic-ratelimit-tokens-limit"))
				assert.Equal(t, "0", e.Response.Header.Get("anthropic-ratelimit-tokens-remaining"))
				at, err := time.Parse(time.RFC3339, e.Response.Header.Get("anthropic-ratelimit-tokens-reset"))
				require.NoError(t, err)
				assert.Equal(t, begin.Add(time.Minute), at)
				resp = e.Response
			} else {
				var e *openai.Error
				require.ErrorAs(t, err, &e)
				assert.Equal(t, "rate_limit_exceeded", e.Code)
				assert.Equal(t, "tokens", e.Type)
				assert.Contains(t, e.Message, "the limit is 100 tokens, 0 are left")
				assert.Equal(t, "100", e.Response.Header.Get("x-ratelimit-limit-tokens"))
				assert.Equal(t, "0", e.Response.Header.Get("x-ratelimit-remaining-tokens"))
				assert.Equal(t, "1m0s", e.Response.Header.Get("x-ratelimit-reset-tokens"))
				resp = e.Response
			}
			assert.Equal(t, http.StatusTooManyRequests, resp.StatusCode)
		})
	}
}

// TestTheSDKWaitsAsTold denies a call until tokens flow in. The retry of the SDK comes then, and is
// allowed.
func TestTheSDKWaitsAsTold(t *testing.T) {
	for _, name := range []string{"openai chat", "openai chat streamed", "anthropic messages streamed"} {
		t.Run(name, func(t *testing.T) {
			v := &vendor{input: 0, output: 200}
			start(t, v, tokenbudget.Config{}, "40 per second burst 200")
			seen := &watching{}
			transport := &http.Client{Transport: seen}
			c := clients{
				v.openAI(openaioption.WithMaxRetries(1), openaioption.WithHTTPClient(transport)),
				v.anthropic(anthropicoption.WithMaxRetries(1), anthropicoption.WithHTTPClient(transport)),
			}
			require.NoError(t, calls[name](t.Context(), c, 200))
			began := time.Now()
			require.NoError(t, calls[name](t.Context(), c, 20)) // about 60 tokens with its prompt
			took := time.Since(began)
			t.Logf("waited %v", took)
			assert.Equal(t, 3, seen.tries)
			told, err := strconv.Atoi(seen.told)
			require.NoError(t, err)
			assert.Positive(t, told)
			assert.GreaterOrEqual(t, took, time.Duration(told)*time.Millisecond)
			assert.Less(t, took, time.Duration(told+2000)*time.Millisecond)
		})
	}
}

// watching counts the requests that are sent one after another, and notes how long to wait.
type watching struct {
	tries int
	told  string // of the last denial, in milliseconds
}

func (w *watching) RoundTrip(r *http.Request) (*http.Response, error) {
	w.tries++
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err == nil && resp.StatusCode == http.StatusTooManyRequests {
		w.told = resp.Header.Get("Retry-After-Ms")
	}
	return resp, err
}

// TestTheSDKDoesNotRetryALongWait lets the SDK return its error at once if waiting takes minutes.
func TestTheSDKDoesNotRetryALongWait(t *testing.T) {
	for _, name := range []string{"openai chat", "anthropic messages"} {
		t.Run(name, func(t *testing.T) {
			v := &vendor{output: 1000}
			start(t, v, tokenbudget.Config{}, "1000 per day")
			c := clients{v.openAI(), v.anthropic()} // two retries
			require.NoError(t, calls[name](t.Context(), c, 1000))
			began := time.Now()
			require.Error(t, calls[name](t.Context(), c, 1000))
			assert.Less(t, time.Since(began), 2*time.Second)
		})
	}
}

// TestParallelStreams sends 200 streamed calls at once. Each uses 9 tokens of prompt, and as much
// output as it has reserved: its overrun is 0. With a lie about max_tokens it is 30 for each call.
func TestParallelStreams(t *testing.T) {
	const budget = 5000
	for _, name := range []string{"openai chat streamed", "anthropic messages streamed"} {
		for _, lie := range []int64{0, 30} {
			t.Run(fmt.Sprintf("%s, %d more than asked for", name, lie), func(t *testing.T) {
				v := &vendor{input: 9, output: 40}
				cfg := tokenbudget.Config{Limiter: ratelimit.Config{Clock: frozen}}
				start(t, v, cfg, fmt.Sprintf("%d per minute", budget))
				c := v.withoutRetries()
				var wg sync.WaitGroup
				var denied atomic.Int64
				for range 200 {
					wg.Go(func() {
						err := calls[name](t.Context(), c, 40-lie)
						if isRateLimit(err) {
							denied.Add(1)
						} else {
							assert.NoError(t, err)
						}
					})
				}
				wg.Wait()
				used, charges := v.charged()
				over := int64(0)
				for _, charge := range charges {
					over += max(charge.Tokens-charge.Reserved, 0)
				}
				t.Logf("%d allowed, %d denied: used %d of %d", len(charges), denied.Load(), used, budget)
				assert.Equal(t, 200, len(charges)+int(denied.Load()))
				assert.Equal(t, int64(49*len(charges)), used)
				assert.LessOrEqual(t, used, budget+over, "the bound")
				field, value := header(name)
				assert.Equal(t, budget-used, v.left(t, field, value, budget), "exact after settling")
			})
		}
	}
}

// TestFiveParallelCalls is LiteLLM's issue 18730: five calls at once spent 663 of 100 tokens.
func TestFiveParallelCalls(t *testing.T) {
	v := &vendor{input: 13, output: 120}
	cfg := tokenbudget.Config{Limiter: ratelimit.Config{Clock: frozen}}
	start(t, v, cfg, "100 per minute")
	c := v.withoutRetries()
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			err := calls["openai chat"](t.Context(), c, 120)
			assert.True(t, err == nil || isRateLimit(err), "%v", err)
		})
	}
	wg.Wait()
	used, charges := v.charged()
	assert.Equal(t, int64(133), used, "one call, which was allowed with a full bucket")
	assert.Len(t, charges, 1)
	assert.Equal(t, int64(100-133), v.left(t, "Authorization", "Bearer secret", 100), "33 are owed")
}

func isRateLimit(err error) bool {
	var o *openai.Error
	var a *anthropic.Error
	return errors.As(err, &o) && o.StatusCode == 429 && o.Code == "rate_limit_exceeded" ||
		errors.As(err, &a) && a.StatusCode == 429 && a.Type() == anthropic.ErrorTypeRateLimitError
}
