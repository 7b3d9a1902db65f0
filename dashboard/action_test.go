package dashboard

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/login"
	"github.com/ratelimit-go/ratelimit/ratelimittest"
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

	require.Len(t, d.actions, 1)
}

// Under a rule without a Block, a block is not offered, and a form that asks for it does nothing.
func TestOnlyRulesWithABlockCanBlock(t *testing.T) {
	d := newDesk(t, Config{})
	offers := func() []string {
		_, body := post(d, "/find", url.Values{"kind": {"user"}, "text": {"bob"}})
		var rules []string
		for form := range strings.SplitSeq(body, "<form") {
			if strings.Contains(form, `value="block"`) {
				rules = append(rules, ruleField.FindStringSubmatch(form)[1])
			}
		}
		return rules
	}
	assert.Equal(t, []string{"per-user"}, offers(), "nothing is spent")
	for _, rule := range []string{"per-user", "second"} {
		_, err := d.limiter.Take(t.Context(), rule, ratelimit.UserKey("bob"), 1)
		require.NoError(t, err)
	}
	assert.Equal(t, []string{"per-user"}, offers(), "both rules have counted the key")

	for _, kind := range []string{"block", "unblock"} {
		a := Action{Who: "alice", Kind: kind, Rule: "second", Key: ratelimit.UserKey("bob")}
		if kind == "block" {
			a.For = time.Hour
		}
		form := with(keyForm("bob"), "action", kind, "rule", "second", "for", "1h", "token", d.token(a, time.Now().Add(time.Minute)))
		for _, path := range []string{"/confirm", "/act"} {
			status, body := post(d, path, form)
			assert.Equal(t, 400, status, "%s %s", path, kind)
			assert.Contains(t, body, "has no Block. Nothing was done")
		}
	}
	assert.Empty(t, d.actions)
}

var ruleField = regexp.MustCompile(`name="rule" value="([^"]+)"`)

// An action that has failed is recorded too.
func TestFailuresAreRecorded(t *testing.T) {
	store := ratelimittest.NewStore(ratelimit.NewMemoryStore(ratelimit.MemoryConfig{}))
	l, err := ratelimit.New(ratelimit.Config{
		Store: store, OnStoreFailure: ratelimit.FailOpen, Hooks: ratelimit.Hooks{Error: func(context.Context, error) {}},
		Rules: []ratelimit.Rule{{Name: "per-user", Limits: ratelimit.MustParse("3 per hour"), Block: &ratelimit.Block{}}},
	})
	require.NoError(t, err)
	var recorded []Action
	d := &desk{Page: newPage(t, l, Config{
		MayAct: everyone, Who: alice, Audit: func(_ context.Context, a Action) { recorded = append(recorded, a) },
	})}
	form := d.confirm(t, with(keyForm("eve"), "action", "block", "rule", "per-user", "for", "1h"))
	store.Fail(errors.New("connection refused"))
	status, body := post(d, "/act", form)
	assert.Equal(t, 500, status)
	assert.Contains(t, body, "connection refused")
	require.Len(t, recorded, 1)
	assert.ErrorContains(t, recorded[0].Err, "connection refused")
}

// A user who leaves at once is recorded, also by an Audit that needs its context.
func TestUserWhoLeavesIsRecorded(t *testing.T) {
	type name struct{}
	d := newDesk(t, Config{})
	d.cfg.Audit = func(ctx context.Context, a Action) {
		assert.NoError(t, ctx.Err())
		assert.Equal(t, "value", ctx.Value(name{}))
		d.actions = append(d.actions, a)
	}
	form := d.confirm(t, with(keyForm("eve"), "action", "block", "rule", "per-user", "for", "1h"))
	ctx, leave := context.WithCancel(context.WithValue(t.Context(), name{}, "value"))
	leave()
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/act", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	d.ServeHTTP(httptest.NewRecorder(), r)
	require.Len(t, d.actions, 1)
	assert.Equal(t, "block", d.actions[0].Kind)
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
