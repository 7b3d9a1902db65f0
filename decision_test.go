package ratelimit_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/store"
)

// A DenyHandler can answer with the status of the default response.
func TestStatusIsOfTheDefaultResponse(t *testing.T) {
	for reason, want := range map[ratelimit.Reason]int{
		ratelimit.ReasonLimit: 429, ratelimit.ReasonExceedsBurst: 429, ratelimit.ReasonInFlight: 429, ratelimit.ReasonBlocked: 429,
		ratelimit.ReasonNoKey: 403, ratelimit.ReasonDenied: 403,
		ratelimit.ReasonStore: 503, ratelimit.ReasonCapacity: 503,
	} {
		d := ratelimit.Decision{Reason: reason}
		assert.Equal(t, want, d.Status(), "reason %s", reason)
		l := newLimiter(t, ratelimit.Config{})
		w := serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { l.Deny(w, r, d) }), with())
		assert.Equal(t, want, w.Code, "the default response, reason %s", reason)
	}
	assert.Equal(t, 200, ratelimit.Decision{Allowed: true, Reason: ratelimit.ReasonStore}.Status())

	missing := ratelimit.ByUser(func(*http.Request) string { return "" })
	l := newLimiter(t, ratelimit.Config{
		Rules: []ratelimit.Rule{{
			Name: "r", Limits: ratelimit.MustParse("1/s"), Key: missing, OnMissingKey: ratelimit.DenyRequest,
		}},
		DenyHandler: func(w http.ResponseWriter, _ *http.Request, d ratelimit.Decision) { w.WriteHeader(d.Status()) },
	})
	assert.Equal(t, http.StatusForbidden, serve(l.Handler(ok), with()).Code)
}

// Enums are text wherever they are printed, logged, written or read.
func TestEnumsAreText(t *testing.T) {
	for _, tc := range []struct {
		value any
		want  string
	}{
		{ratelimit.Enforce, "enforce"},
		{ratelimit.DryRun, "dry-run"},
		{ratelimit.Off, "off"},
		{ratelimit.EnforcePercent(5), "enforce 5%"},
		{"", ""},
		{ratelimit.ReasonLimit, "limit"},
		{ratelimit.ReasonExceedsBurst, "exceeds-burst"},
		{ratelimit.ReasonNoKey, "no-key"},
		{ratelimit.ReasonStore, "store"},
		{ratelimit.ReasonInFlight, "in-flight"},
		{ratelimit.ReasonCapacity, "capacity"},
		{ratelimit.ReasonBlocked, "blocked"},
		{ratelimit.ReasonDenied, "denied"},
		{ratelimit.FailOpen, "open"},
		{ratelimit.FailClosed, "closed"},
		{ratelimit.UseMemory, "memory"},
		{ratelimit.ShareKey, "share"},
		{ratelimit.DenyRequest, "deny"},
		{ratelimit.SkipRule, "skip"},
		{ratelimit.DraftHeaders, "draft-11"},
		{ratelimit.Draft7Headers, "draft-7"},
		{ratelimit.Draft6Headers, "draft-6"},
		{ratelimit.LegacyHeaders, "legacy"},
		{ratelimit.NoHeaders, "none"},
		{store.Up, "up"},
		{store.Down, "down"},
		{store.Recovering, "recovering"},
	} {
		name := fmt.Sprintf("%T %s", tc.value, tc.want)
		assert.Equal(t, tc.want, fmt.Sprint(tc.value), name)
		out, err := json.Marshal(tc.value)
		require.NoError(t, err)
		assert.JSONEq(t, `"`+tc.want+`"`, string(out), name)
		var log bytes.Buffer
		logger := slog.New(slog.NewJSONHandler(&log, nil))
		logger.Info("x", "value", tc.value)
		assert.Contains(t, log.String(), `"value":"`+tc.want+`"}`, name)
	}
}

// A configuration file can hold the choices of a rule as they are.
func TestEnumsInConfigurationFiles(t *testing.T) {
	var file struct {
		Mode           ratelimit.Mode
		OnStoreFailure ratelimit.FailurePolicy
		OnMissingKey   ratelimit.MissingKey
		Headers        ratelimit.Headers
		Limits         ratelimit.Limits
	}
	require.NoError(t, json.Unmarshal([]byte(
		`{"Mode":"enforce 30%","OnStoreFailure":"memory","OnMissingKey":"skip","Headers":"draft-7","Limits":"2 per hour"}`), &file))
	l := newLimiter(t, ratelimit.Config{
		Headers: file.Headers,
		Rules: []ratelimit.Rule{{
			Name: "r", Limits: file.Limits, Mode: file.Mode, OnStoreFailure: file.OnStoreFailure, OnMissingKey: file.OnMissingKey,
		}},
	})
	d, err := l.Peek(t.Context(), "r", client())
	require.NoError(t, err)
	assert.Equal(t, ratelimit.EnforcePercent(30), d.Mode)
	require.NoError(t, l.SetMode("r", ratelimit.Enforce))
	assert.Equal(t, "limit=2, remaining=1, reset=1800", serve(l.Handler(ok), with()).Header().Get("RateLimit"))
	assert.Equal(t, http.Header{}, serve(l.Handler(ok), request("@")).Header())
}

// A Decision can be logged, also the zero Decision.
func TestDecisionsInJSON(t *testing.T) {
	text, err := json.Marshal(ratelimit.Decision{Allowed: true})
	require.NoError(t, err)
	assert.JSONEq(t, `{"Allowed":true,"Reason":"","Rule":"","Mode":"","Key":"none","Remaining":0,"RetryAfter":0,"ResetAfter":0,`+
		`"Overflow":false,"Local":false,"StoreErr":null}`, string(text))
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("r", "1 per hour")}})
	d, err := l.Take(t.Context(), "r", ratelimit.UserKey("alice"), 2)
	require.NoError(t, err)
	text, err = json.Marshal(d)
	require.NoError(t, err)
	assert.JSONEq(t, `{"Allowed":false,"Reason":"exceeds-burst","Rule":"r","Mode":"enforce","Limit":"1 per hour","Key":"user:alice",`+
		`"Remaining":1,"RetryAfter":0,"ResetAfter":0,"Overflow":false,"Local":false,"StoreErr":null}`, string(text))
}
