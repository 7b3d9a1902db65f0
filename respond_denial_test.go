package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/storefake"
	"github.com/ratelimit-go/ratelimit/store"
)

// A client writes the name of a victim into its requests, and reads from the responses how busy the
// victim is. A rule with OmitHeaders limits without a word, in header fields and in bodies.
func TestOmitHeadersTellsNothingOfOthers(t *testing.T) {
	account := rule("account", "2 per hour")
	account.Key, account.OmitHeaders = ratelimit.ByUser(field("Account")), true
	for _, form := range []ratelimit.Headers{
		ratelimit.DraftHeaders, ratelimit.Draft7Headers, ratelimit.Draft6Headers, ratelimit.LegacyHeaders, ratelimit.NoHeaders,
	} {
		h := newLimiter(t, ratelimit.Config{Headers: form, Rules: []ratelimit.Rule{account}}).Handler(ok)
		fresh, busy := with("Account", "fresh"), with("Account", "victim")
		assert.Equal(t, http.Header{}, serve(h, fresh).Header())
		assert.Equal(t, http.Header{}, serve(h, busy).Header())
		assert.Equal(t, http.Header{}, serve(h, busy).Header())
		w := serve(h, busy)
		assert.Equal(t, http.StatusTooManyRequests, w.Code)
		for _, word := range []string{"account", "victim", "user:"} {
			assert.NotContains(t, w.Body.String()+fmt.Sprint(w.Header()), word)
		}
	}
	h := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{account, rule("own", "9 per hour")}}).Handler(ok)
	w := serve(h, with("Account", "victim"))
	assert.Equal(t, http.Header{"Ratelimit-Policy": {`"own";q=9;w=3600`}, "Ratelimit": {`"own";r=8;t=3200`}}, w.Header())
}

// A client provokes errors and denials to read addresses, keys and internals from the responses.
// They are the same for all clients. Only Hooks.Error is told of errors.
func TestResponsesLeakNothing(t *testing.T) {
	const secret = "redis://:hunter2@10.1.2.3:6379"
	leaky := ratelimit.Rule{
		Name: "r", Limits: ratelimit.MustParse("1 per hour"), Key: ratelimit.ByClientIP(),
		Cost: func(*http.Request) int64 { panic(secret) },
		Skip: func(*http.Request) bool { panic(secret) },
	}
	broken := leaky
	broken.Name = "broken"
	broken.Key = ratelimit.KeyFunc(func(*http.Request) (ratelimit.Key, error) { return ratelimit.Key{}, errors.New(secret) })
	denying := broken
	denying.OnMissingKey = ratelimit.DenyRequest
	fails := storefake.Func(func(context.Context, []store.Op) error { return errors.New(secret) })
	panics := storefake.Func(func(context.Context, []store.Op) error { panic(secret) })
	for name, cfg := range map[string]ratelimit.Config{
		"store fails":      {Rules: []ratelimit.Rule{leaky}, Store: fails, OnStoreFailure: ratelimit.FailClosed},
		"store panics":     {Rules: []ratelimit.Rule{leaky}, Store: panics, OnStoreFailure: ratelimit.FailClosed},
		"limit":            {Rules: []ratelimit.Rule{leaky}},
		"broken key":       {Rules: []ratelimit.Rule{broken}},
		"broken, and deny": {Rules: []ratelimit.Rule{denying}},
	} {
		reported := 0
		cfg.Hooks.Error = func(context.Context, error) { reported++ }
		h := newLimiter(t, cfg).Handler(ok)
		r := with("X-Forwarded-For", "6.6.6.6", "User-Agent", "<script>", "Accept", "text/plain, application/json")
		serve(h, r)
		w := serve(h, r)
		assert.GreaterOrEqual(t, w.Code, 400, name)
		assert.NotZero(t, reported, name)
		for _, word := range []string{secret, "hunter2", "panic", "192.0.2.1", "6.6.6.6", "addr:", "script"} {
			assert.NotContains(t, w.Body.String()+fmt.Sprint(w.Header()), word, name)
		}
	}
}

// Of nested limiters, the longest wait wins. A client that accepts JSON gets it.
func TestNestedDenials(t *testing.T) {
	inner := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("in-1", "1 per hour"), rule("in-2", "1 per day")}}).Handler(ok)
	h := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("out", "9 per hour")}}).Handler(inner)
	r := with("Accept", "text/plain, application/json")
	serve(h, r)
	w := serve(h, r)
	assert.Equal(t, "86400", w.Header().Get("Retry-After"))
	assert.Contains(t, w.Body.String(), `"violated-policies":["in-1","in-2"]`)
	l := named(t, "r", 3, "1 per day")
	assert.Equal(t, []any{"r", 3}, []any{l.Rule(), l.Index()})
}

// An outer handler of another program tells a wait as a date. The longer wait is sent, by the clock
// of the limiter.
func TestDenialWithinAHandlerThatSentADate(t *testing.T) {
	now := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	inner := newLimiter(t, ratelimit.Config{
		Clock: func() time.Time { return now }, Rules: []ratelimit.Rule{rule("r", "1 per hour")},
	}).Handler(ok)
	for date, want := range map[string]string{
		"Sat, 01 Jan 2000 02:00:00 GMT": "Sat, 01 Jan 2000 02:00:00 GMT", "Sat, 01 Jan 2000 00:30:00 GMT": "3600",
	} {
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", date)
			inner.ServeHTTP(w, r)
		})
		serve(h, with())
		assert.Equal(t, []string{want}, serve(h, with()).Header()["Retry-After"])
	}
}
