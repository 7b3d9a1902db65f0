package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// Each of these changes nothing and is recorded as nothing.
func TestActionsThatAreDenied(t *testing.T) {
	d := newDesk(t, Config{})
	off := url.Values{"action": {"mode"}, "rule": {"per-user"}, "mode": {"off"}}
	good := d.confirm(t, off)
	late := d.token(Action{Who: "alice", Kind: "mode", Rule: "per-user", Mode: "off"}, time.Now().Add(-time.Second))
	other := d.token(Action{Who: "mallory", Kind: "mode", Rule: "per-user", Mode: "off"}, time.Now().Add(time.Minute))
	for name, c := range map[string]struct {
		form   url.Values
		header []string
		status int
	}{
		"no token":                       {off, nil, 403},
		"an invented token":              {with(off, "token", strings.Repeat("ab", 40)), nil, 403},
		"a token that is no token":       {with(off, "token", "zz"), nil, 403},
		"a token of another action":      {with(good, "rule", "second"), nil, 403},
		"a token of another mode":        {with(good, "mode", "dry-run"), nil, 403},
		"a token of another user":        {with(off, "token", other), nil, 403},
		"a token that is too old":        {with(off, "token", late), nil, 403},
		"a form of another site":         {good, []string{"Sec-Fetch-Site", "cross-site"}, 403},
		"a form of a sibling site":       {good, []string{"Sec-Fetch-Site", "same-site"}, 403},
		"a form of another origin":       {good, []string{"Origin", "https://evil.example"}, 403},
		"a form without an origin":       {good, []string{"Origin", "null"}, 403},
		"no such action":                 {with(good, "action", "delete"), nil, 400},
		"no such rule":                   {with(good, "rule", "none"), nil, 400},
		"no such mode":                   {with(good, "mode", "on"), nil, 400},
		"no rule":                        {with(good, "rule", ""), nil, 400},
		"no key":                         {with(keyForm("x"), "action", "reset", "key", ""), nil, 400},
		"a key that cannot be read":      {with(keyForm("x"), "action", "reset", "key", `a"b`), nil, 400},
		"a block for no time":            {with(keyForm("x"), "action", "block", "rule", "per-user", "for", "0s"), nil, 400},
		"a block for a time in words":    {with(keyForm("x"), "action", "block", "rule", "per-user", "for", "long"), nil, 400},
		"no such login":                  {url.Values{"action": {"unlock"}, "guard": {"app"}, "account": {"bob"}}, nil, 400},
		"a form that is too long":        {with(good, "x", strings.Repeat("x", maxForm)), nil, 400},
		"a form in another content type": {good, []string{"Content-Type", "text/plain"}, 400},
	} {
		t.Run(name, func(t *testing.T) {
			status, body := post(d, "/act", c.form, c.header...)
			assert.Equal(t, c.status, status, body)
			assert.Contains(t, body, "Nothing was done")
		})
	}
	query := "/act?" + good.Encode()
	status, _ := post(d, query, url.Values{})
	assert.Equal(t, 400, status, "the query does not count")
	assert.Empty(t, d.actions)
	assert.Equal(t, 429, request(d.limiter.Handler(ok), "bob", 4), "the mode is as it was")

	status, _ = post(d, "/act", good, "Sec-Fetch-Site", "same-origin")
	assert.Equal(t, 200, status, "the form was good")
}

func TestWhoMayAct(t *testing.T) {
	off := url.Values{"action": {"mode"}, "rule": {"per-user"}, "mode": {"off"}}
	for name, c := range map[string]struct {
		cfg    Config
		status int
	}{
		"a page without MayAct": {Config{}, 403},
		"MayAct says no":        {Config{MayAct: func(*http.Request) bool { return false }, Who: alice}, 403},
		"MayAct panics":         {Config{MayAct: func(*http.Request) bool { panic("lost") }, Who: alice}, 403},
		"Who does not know":     {Config{MayAct: everyone, Who: func(*http.Request) string { return "" }}, 403},
		"Who panics":            {Config{MayAct: everyone, Who: func(*http.Request) string { panic("lost") }}, 403},
		"Alice may act":         {Config{MayAct: everyone, Who: alice}, 200},
		"an Audit that panics":  {Config{MayAct: everyone, Who: alice, Audit: func(context.Context, Action) { panic("lost") }}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLimiter(t)
			p := newPage(t, l, c.cfg)
			status, body := post(p, "/confirm", off)
			assert.Equal(t, c.status, status)
			assert.Equal(t, c.status == 200, strings.Contains(body, "token"))
			status, _ = post(p, "/act", with(off, "token", p.token(Action{Who: "alice", Kind: "mode", Rule: "per-user", Mode: "off"},
				time.Now().Add(time.Minute))))
			assert.Equal(t, c.status, status)
			if strings.Contains(name, "panic") {
				assert.Contains(t, fmt.Sprint(p.watch.events.last(9)), "panicked: lost")
			}
		})
	}
}

// A page without MayAct offers no action, and neither does a page whose visitor may not act.
func TestReadOnlyPageOffersNothing(t *testing.T) {
	l := newLimiter(t)
	require.NoError(t, l.Block(t.Context(), "per-user", ratelimit.UserKey("bob"), time.Hour))
	act := false
	p := newPage(t, l, Config{MayAct: func(*http.Request) bool { return act }, Who: alice})
	search := url.Values{"kind": {"user"}, "text": {"bob"}}
	_, page := get(p, "/")
	_, found := post(p, "/find", search)
	assert.NotContains(t, page+found, "confirm")
	act = true
	_, page = get(p, "/")
	_, found = post(p, "/find", search)
	assert.Contains(t, page, `action="confirm"`)
	assert.Contains(t, found, `action="confirm"`)
}

var errAny = errors.New("any")

func TestSentence(t *testing.T) {
	assert.Equal(t, "Any. Nothing was done.", sentence(errAny))
	assert.Equal(t, "“x” is no address, such as 192.0.2.1 or 2001:db8::1. Nothing was done.",
		sentence(notAnAddress("x")), "the first character has three bytes")
	_, err := ratelimit.ParseKey("x")
	assert.Equal(t, `Key "x": want a kind and text, such as user:alice, addr:192.0.2.1 or tenant:acme. `+
		"Nothing was done.", sentence(err))
	_, err = blockTime("long")
	assert.Equal(t, "The time of a block is from a second to a year, such as 24h. Nothing was done.",
		sentence(err))
}
