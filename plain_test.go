package ratelimit_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// A plain rule goes a way of its own through the middleware. Responses and decisions are those of the same rule with
// a Skip that skips nothing, which goes the way of all others.
func TestPlainRuleIsDecidedAsAnyOther(t *testing.T) {
	const four, five = "9 per hour; 7 per 30 minutes; 8 per 20 minutes; 5 per 10 minutes", "9 per hour; 7 per 30 minutes; 8 per 20 minutes; 5 per 10 minutes; 100 per day"
	for _, limits := range []string{"5 per hour burst 3", "4 per minute; 6 per hour", "9 per hour; 7 per 30 minutes; 5 per 10 minutes", four, five} {
		for _, unidentified := range []ratelimit.Unidentified{0, ratelimit.RefuseUnidentified, ratelimit.SkipUnidentified} {
			t.Run(fmt.Sprintf("%s, unidentified %d", limits, unidentified), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					plain := rule("r", limits)
					plain.Unidentified = unidentified
					plain.Cost = func(r *http.Request) int64 { return r.ContentLength }
					plain.LimitsFor = func(r *http.Request) ratelimit.Limits {
						if r.Method == http.MethodPut {
							return ratelimit.Limits{ratelimit.Unlimited()}
						}
						return nil
					}
					other := plain
					other.Skip = func(*http.Request) bool { return false }
					agree(t, ratelimit.Config{Rules: []ratelimit.Rule{plain}}, ratelimit.Config{Rules: []ratelimit.Rule{other}})
					agree(t, ratelimit.Config{Routes: map[string][]ratelimit.Rule{"/": {plain}}}, ratelimit.Config{Rules: []ratelimit.Rule{other}})
				})
			})
		}
	}
}

// agree sends the same random requests through both limiters.
func agree(t *testing.T, a, b ratelimit.Config) {
	t.Helper()
	var seen []ratelimit.Decision
	note := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		d, found := ratelimit.DecisionFrom(r.Context())
		assert.True(t, found)
		seen = append(seen, d)
	})
	reports := map[string]int{}
	under := func(cfg ratelimit.Config) http.Handler {
		cfg.OnError = func(_ context.Context, err error) { reports[err.Error()]++ }
		return newLimiter(t, cfg).Handler(note)
	}
	first, second := under(a), under(b)
	rng, codes := rand.New(rand.NewPCG(1, 2)), map[int]int{}
	for range 400 {
		r := request([]string{"192.0.2.1:1", "192.0.2.2:1", "[2001:db8::1]:1", "@"}[rng.IntN(4)])
		r.Method = []string{http.MethodGet, http.MethodGet, http.MethodGet, http.MethodPut}[rng.IntN(4)]
		r.ContentLength = []int64{1, 1, 1, 2, 0, 1000, -1}[rng.IntN(7)]
		seen = seen[:0]
		x, y := serve(first, r), serve(second, r)
		require.Equal(t, y.Code, x.Code)
		require.Equal(t, y.Header(), x.Header())
		require.Equal(t, y.Body.String(), x.Body.String())
		if x.Code == http.StatusOK {
			require.Len(t, seen, 2)
			require.Equal(t, seen[1], seen[0])
		}
		codes[x.Code]++
		time.Sleep(time.Duration(rng.IntN(120)) * time.Second)
	}
	for text, n := range reports {
		assert.Zero(t, n%2, "both report as often: %s", text)
	}
	assert.Greater(t, codes[http.StatusOK], 30)
	assert.Greater(t, codes[http.StatusTooManyRequests], 30)
}

// With NoContext the handler is given the very request, and all else is as without.
func TestNoContext(t *testing.T) {
	var given *http.Request
	next := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { given = r })
	copied := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("r", "1 per hour")}}).Handler(next)
	h := newLimiter(t, ratelimit.Config{NoContext: true, Rules: []ratelimit.Rule{rule("r", "1 per hour")}}).Handler(next)

	r := request("192.0.2.1:1")
	want := serve(copied, r)
	assert.NotSame(t, r, given)
	w := serve(h, r)
	assert.Same(t, r, given)
	assert.Equal(t, want.Header(), w.Header())
	_, found := ratelimit.DecisionFrom(given.Context())
	assert.False(t, found)
	require.Error(t, ratelimit.SetCost(given.Context(), "r", 2))

	want, w = serve(copied, r), serve(h, r)
	assert.Equal(t, 429, w.Code)
	assert.Equal(t, want.Header(), w.Header())
	assert.Equal(t, want.Body.String(), w.Body.String())
}

func TestNoContextFields(t *testing.T) {
	for _, form := range []ratelimit.HeaderForm{ratelimit.DraftHeaders, ratelimit.Draft7Headers, ratelimit.Draft6Headers, ratelimit.NoHeaders} {
		rules := []ratelimit.Rule{rule("a", "5 per hour"), rule("b", "3 per minute")}
		plain := newLimiter(t, ratelimit.Config{Headers: form, Rules: rules}).Handler(ok)
		bare := newLimiter(t, ratelimit.Config{Headers: form, NoContext: true, Rules: rules}).Handler(ok)
		assert.Equal(t, serve(plain, request("192.0.2.1:1")).Header(), serve(bare, request("192.0.2.1:1")).Header())
	}
	// No rule applies: nothing is written.
	none := newLimiter(t, ratelimit.Config{NoContext: true}).Handler(ok)
	assert.Empty(t, serve(none, request("192.0.2.1:1")).Header())
}

// What is documented to be lost with NoContext, and what is not.
func TestNoContextKeepsWhatIsTaken(t *testing.T) {
	for _, noContext := range []bool{false, true} {
		l := newLimiter(t, ratelimit.Config{NoContext: noContext, Rules: []ratelimit.Rule{rule("outer", "10 per hour")}})
		h := l.Handler(l.With(rule("inner", "1 per hour"))(ok))
		assert.Equal(t, 200, serve(h, request("192.0.2.1:1")).Code)
		assert.Equal(t, 429, serve(h, request("192.0.2.1:1")).Code)
		key, _ := ratelimit.ByRemoteIP().Key(request("192.0.2.1:1"))
		d, err := l.Peek(context.Background(), "outer", key)
		require.NoError(t, err)
		assert.Equal(t, map[bool]int64{false: 9, true: 8}[noContext], d.Remaining)
	}
	// What was decided further out is still known, and nothing of what is kept.
	outer := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("outer", "10 per hour")}})
	inner := newLimiter(t, ratelimit.Config{NoContext: true, Rules: []ratelimit.Rule{rule("inner", "5 per hour")}})
	serve(outer.Handler(inner.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		d, found := ratelimit.DecisionFrom(r.Context())
		assert.True(t, found)
		assert.Equal(t, "outer", d.Rule)
		require.NoError(t, ratelimit.SetCost(r.Context(), "outer", 2))
		require.Error(t, ratelimit.SetCost(r.Context(), "inner", 2))
	}))), request("192.0.2.1:1"))

	charged := rule("charged", "10 per hour")
	charged.Charge = ratelimit.ChargeFailures
	l := newLimiter(t, ratelimit.Config{NoContext: true, Rules: []ratelimit.Rule{charged}})
	h := l.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, found := ratelimit.DecisionFrom(r.Context())
		assert.True(t, found, "a rule with Charge needs the context all the same")
	}))
	serve(h, request("192.0.2.1:1"))
	key, _ := ratelimit.ByRemoteIP().Key(request("192.0.2.1:1"))
	d, err := l.Peek(context.Background(), "charged", key)
	require.NoError(t, err)
	assert.Equal(t, int64(10), d.Remaining, "a success is given back")
}

// A decorator is named by its text, as far as a name may be long.
func TestDecoratorOfALongText(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{})
	text := "1000000 per second; 20000000 per minute; 300000000 per hour; 4000000000 per day"
	h := l.Limit(text, ratelimit.ByRemoteIP())(l.Limit(text, ratelimit.ByRemoteIP())(ok))
	fields := serve(h, request("192.0.2.1:1")).Header().Get("RateLimit-Policy")
	name := text[:56]
	assert.Contains(t, fields, `"`+name+`-1";q=1000000;w=1`)
	assert.Contains(t, fields, `"`+name+` #2-1";q=1000000;w=1`)
}

// Of a Retry-After that is there and ours the longer is sent.
func TestLongerRetryAfterStays(t *testing.T) {
	for there, want := range map[string]string{"100": "100", "10": "36", "36": "36", "soon": "36"} {
		limited := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("r", "100 per hour burst 1")}}).Handler(ok)
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", there)
			limited.ServeHTTP(w, r)
		})
		serve(h, request("192.0.2.1:1"))
		w := serve(h, request("192.0.2.1:1"))
		require.Equal(t, 429, w.Code)
		assert.Equal(t, []string{want}, w.Header().Values("Retry-After"), "there was %s", there)
	}
}
