package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/login"
)

// desk is a page that allows actions to Alice, and what was recorded.
type desk struct {
	*Page
	limiter *ratelimit.Limiter
	actions []Action
}

func newDesk(t *testing.T, cfg Config) *desk {
	t.Helper()
	d := &desk{limiter: newLimiter(t, ratelimit.Rule{Name: "second", Limits: ratelimit.MustParse("100 per hour")})}
	cfg.MayAct, cfg.Audit = everyone, func(_ context.Context, a Action) { d.actions = append(d.actions, a) }
	if cfg.Who == nil {
		cfg.Who = alice
	}
	d.Page = newPage(t, d.limiter, cfg)
	return d
}

var tokenField = regexp.MustCompile(`name="token" value="([0-9a-f]+)"`)

// confirm takes the first step and returns the form with its token.
func (d *desk) confirm(t *testing.T, form url.Values) url.Values {
	t.Helper()
	status, body := post(d, "/confirm", form)
	require.Equal(t, 200, status, body)
	token := tokenField.FindStringSubmatch(body)
	require.NotNil(t, token, body)
	next := url.Values{"token": {token[1]}}
	for name, value := range form {
		next[name] = value
	}
	return next
}

func keyForm(user string) url.Values {
	return url.Values{"key": {ratelimit.UserKey(user).String()}}
}

func with(form url.Values, fields ...string) url.Values {
	next := url.Values{}
	for name, value := range form {
		next[name] = value
	}
	for i := 0; i < len(fields); i += 2 {
		next.Set(fields[i], fields[i+1])
	}
	return next
}

func TestUnblockAndReset(t *testing.T) {
	d := newDesk(t, Config{})
	h := d.limiter.Handler(ok)
	require.NoError(t, d.limiter.Block(t.Context(), "per-user", ratelimit.UserKey("bob"), time.Hour))
	assert.Equal(t, 429, request(h, "bob", 1))

	form := d.confirm(t, with(keyForm("bob"), "action", "unblock", "rule", "per-user"))
	assert.Equal(t, 429, request(h, "bob", 1), "the first step does nothing")
	status, body := post(d, "/act", form)
	assert.Equal(t, 200, status, body)
	assert.Equal(t, 204, request(h, "bob", 3))

	assert.Equal(t, 429, request(h, "bob", 1))
	status, _ = post(d, "/act", d.confirm(t, with(keyForm("bob"), "action", "reset")))
	assert.Equal(t, 200, status)
	assert.Equal(t, 204, request(h, "bob", 1), "the key is reset under every rule, also without a Block")

	require.Len(t, d.actions, 2)
	got := d.actions[0]
	assert.WithinDuration(t, time.Now(), got.At, time.Minute)
	got.At = time.Time{}
	assert.Equal(t, Action{Who: "alice", Kind: "unblock", Rule: "per-user", Key: ratelimit.UserKey("bob")}, got)
	assert.NoError(t, d.actions[1].Err)
}

// Under every rule, unblock leaves out rules without a Block.
func TestUnblockEverywhere(t *testing.T) {
	d := newDesk(t, Config{})
	require.NoError(t, d.limiter.Block(t.Context(), "per-user", ratelimit.UserKey("bob"), time.Hour))
	status, body := post(d, "/act", d.confirm(t, with(keyForm("bob"), "action", "unblock", "rule", "")))
	assert.Equal(t, 200, status, body)
	assert.Empty(t, d.limiter.Blocked())
}

func TestBlockForATime(t *testing.T) {
	d := newDesk(t, Config{})
	status, _ := post(d, "/act", d.confirm(t, with(keyForm("eve"), "action", "block", "rule", "per-user", "for", "1h")))
	assert.Equal(t, 200, status)
	require.Len(t, d.limiter.Blocked(), 1)
	assert.WithinDuration(t, time.Now().Add(time.Hour), d.limiter.Blocked()[0].Until, time.Minute)

	status, body := post(d, "/act", d.confirm(t, with(keyForm("eve"), "action", "block", "rule", "second", "for", "1h")))
	assert.Equal(t, 500, status)
	assert.Contains(t, body, "has no Block")
	require.Len(t, d.actions, 2)
	assert.Error(t, d.actions[1].Err, "failures are recorded too")
}

func TestSetMode(t *testing.T) {
	d := newDesk(t, Config{})
	h := d.limiter.Handler(ok)
	request(h, "bob", 3)
	for _, c := range []struct {
		mode   string
		status int
	}{{"off", 204}, {"enforce", 429}, {"dry-run", 204}, {"", 429}} {
		status, _ := post(d, "/act", d.confirm(t, url.Values{"action": {"mode"}, "rule": {"per-user"}, "mode": {c.mode}}))
		assert.Equal(t, 200, status)
		assert.Equal(t, c.status, request(h, "bob", 1), "mode %q", c.mode)
	}
}

func TestUnlockAnAccount(t *testing.T) {
	l := newLimiter(t)
	guard, err := login.New(l, login.Config{Account: login.FormField("email"), PerAccount: ratelimit.MustParse("2 per hour")})
	require.NoError(t, err)
	var recorded Action
	p := newPage(t, l, Config{
		MayAct: everyone, Who: alice, Logins: map[string]*login.Guard{"web": guard},
		Audit: func(_ context.Context, a Action) { recorded = a },
	})
	d := &desk{Page: p}
	h := guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }))
	try := func() int {
		status, _ := post(h, "/login", url.Values{"email": {"bob@example.com"}, "password": {"guess"}})
		return status
	}
	assert.Equal(t, []int{401, 401, 429}, []int{try(), try(), try()})
	form := d.confirm(t, url.Values{"action": {"unlock"}, "guard": {"web"}, "account": {" Bob@example.com "}})
	status, body := post(p, "/act", form)
	assert.Equal(t, 200, status, body)
	assert.Equal(t, 401, try())
	assert.Equal(t, "Bob@example.com", recorded.Account)
	assert.Equal(t, "web", recorded.Guard)
}

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
}
