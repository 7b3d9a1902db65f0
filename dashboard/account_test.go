package dashboard

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/login"
)

// entrance is a login, where the password of every account is "secret".
type entrance struct {
	*login.Guard
	http.Handler
}

func newEntrance(t *testing.T, l *ratelimit.Limiter, block *ratelimit.Block) *entrance {
	t.Helper()
	guard, err := login.New(l, login.Config{
		Account: login.FormField("email"), Succeeded: ratelimit.StatusIn(200),
		PerPair: ratelimit.MustParse("3 per hour"), PerAccount: ratelimit.MustParse("9 per hour"),
		Block: block,
	})
	require.NoError(t, err)
	return &entrance{guard, guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status := 401
		if r.PostFormValue("password") == "secret" {
			status = 200
		}
		w.WriteHeader(status)
	}))}
}

// try sends attempts, and returns the last status.
func (e *entrance) try(addr, account, password string, times int) (status int) {
	for range times {
		body := strings.NewReader(url.Values{"email": {account}, "password": {password}}.Encode())
		r := httptest.NewRequest(http.MethodPost, "/login", body)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.RemoteAddr = addr + ":1"
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		status = w.Code
	}
	return status
}

// The page shows what a login knows of an account, also to users who may not act.
func TestLookUpAnAccount(t *testing.T) {
	l := newLimiter(t)
	e := newEntrance(t, l, nil)
	require.Equal(t, 200, e.try("192.0.2.1", "bob@example.com", "secret", 1))
	require.Equal(t, 401, e.try("192.0.2.1", "bob@example.com", "oops", 1))
	require.Equal(t, 429, e.try("192.0.2.2", "bob@example.com", "oops", 4))
	act := false
	p := newPage(t, l, Config{
		MayAct: func(*http.Request) bool { return act }, Who: alice, Logins: map[string]*login.Guard{"web": e.Guard},
	})
	_, page := get(p, "/")
	assert.Contains(t, page, `action="account"`)
	assert.NotContains(t, page, "Unlock")

	type row struct {
		what, who, left string
		known           bool
		class           string
	}
	rows := func(addr netip.Addr) (all []row) {
		result := p.failures(t.Context(), &accountForm{Guard: "web", Account: " BOB@example.com"}, addr)
		require.Empty(t, result.Err)
		for _, r := range result.Rows {
			all = append(all, row{r.What, r.Who.Text, r.Left + " of " + r.Limit, r.Known, r.Class})
		}
		return all
	}
	assert.Equal(t, []row{
		{"this account, from anywhere", "", "6 of 9 per hour", false, "info"},
		{"any account, from anywhere", "", "597 of 600 per 10 minutes", false, "info"},
		{"this account, from an address that failed", "addr:192.0.2.2", "0 of 3 per hour", false, "bad"},
		{"this account, from an address that failed", "addr:192.0.2.1", "2 of 3 per hour", true, "info"},
	}, rows(netip.Addr{}))
	assert.Equal(t, []row{
		{"this account, from anywhere", "", "6 of 9 per hour", false, "info"},
		{"this account, from this address", "addr:192.0.2.1", "2 of 3 per hour", true, "info"},
		{"any account, from this address", "", "50 of 50 per hour", false, ""},
		{"any account, from its network", "", "197 of 200 per hour", false, "info"},
		{"any account, from anywhere", "", "597 of 600 per 10 minutes", false, "info"},
		{"this account, from an address that failed", "addr:192.0.2.2", "0 of 3 per hour", false, "bad"},
	}, rows(netip.MustParseAddr("192.0.2.1")))

	form := url.Values{"guard": {"web"}, "account": {"bob@example.com"}, "addr": {"192.0.2.2"}}
	status, body := post(p, "/account", form)
	assert.Equal(t, 200, status)
	for _, text := range []string{"bob@example.com", "web", "addr:192.0.2.1", "6 of 9", "denied for 20 min", "known"} {
		assert.Contains(t, body, text)
	}
	assert.NotContains(t, body, "confirm")
	act = true
	_, body = post(p, "/account", form)
	assert.Contains(t, body, `action="confirm"`)
	status, _ = post(p, "/account", form, "Sec-Fetch-Site", "cross-site")
	assert.Equal(t, 403, status)
}

func TestLookUpABlockedPair(t *testing.T) {
	l := newLimiter(t)
	e := newEntrance(t, l, &ratelimit.Block{After: ratelimit.Per(2, time.Hour), For: time.Hour, When: ratelimit.StatusIn(401)})
	p := newPage(t, l, Config{Logins: map[string]*login.Guard{"web": e.Guard}})
	require.Equal(t, 429, e.try("192.0.2.2", "bob", "oops", 3))
	rows := p.failures(t.Context(), &accountForm{Guard: "web", Account: "bob"}, netip.Addr{}).Rows
	require.Len(t, rows, 3)
	assert.True(t, rows[2].Blocked)
	assert.Equal(t, "1 h", rows[2].BlockLeft)
	_, body := post(p, "/account", url.Values{"guard": {"web"}, "account": {"bob"}})
	assert.Contains(t, body, "blocked until")
}

func TestLookUpSaysWhatIsWrong(t *testing.T) {
	l := newLimiter(t)
	p := newPage(t, l, Config{Logins: map[string]*login.Guard{"web": newEntrance(t, l, nil).Guard}})
	for want, form := range map[string]accountForm{
		"there is no login of this name":         {"app", "bob", ""},
		"an account has 1 to 320 bytes":          {"web", " ", ""},
		"is no address, such as 192.0.2.1":       {"web", "bob", "300.1.1.1"},
		"“&lt;script&gt;alert(1)” is no address": {"web", "bob", "<script>alert(1)"},
	} {
		status, body := post(p, "/account", url.Values{"guard": {form.Guard}, "account": {form.Account}, "addr": {form.Addr}})
		assert.Equal(t, 400, status, want)
		assert.Contains(t, body, want)
	}
	status, body := post(newPage(t, l, Config{}), "/account", url.Values{"guard": {""}, "account": {"bob"}})
	assert.Equal(t, 400, status, "a page without logins")
	assert.Contains(t, body, "there is no login of this name")
	const evil = "<b>bob</b>\u202e"
	_, body = post(p, "/account", url.Values{"guard": {"web"}, "account": {evil}})
	assert.NotContains(t, body, "<b>bob")
	assert.NotContains(t, strings.ReplaceAll(body, `value="&lt;b&gt;bob&lt;/b&gt;`+"\u202e", ""), "\u202e", "only as typed")
}

// With the address of its owner, an account is unlocked where this instance has not seen it fail.
func TestUnlockWithAnAddress(t *testing.T) {
	store := ratelimit.NewMemoryStore(ratelimit.MemoryConfig{})
	instance := func() (*ratelimit.Limiter, *entrance) {
		l, err := ratelimit.New(ratelimit.Config{Store: store})
		require.NoError(t, err)
		return l, newEntrance(t, l, nil)
	}
	here, e := instance()
	_, there := instance()
	require.Equal(t, 429, there.try("192.0.2.2", "bob", "oops", 4))
	var recorded []Action
	d := &desk{Page: newPage(t, here, Config{
		MayAct: everyone, Who: alice, Logins: map[string]*login.Guard{"web": e.Guard},
		Audit: func(_ context.Context, a Action) { recorded = append(recorded, a) },
	})}
	form := url.Values{"action": {"unlock"}, "guard": {"web"}, "account": {"bob"}, "addr": {"192.0.2.2"}}
	confirmed := d.confirm(t, form)
	status, _ := post(d, "/act", with(confirmed, "addr", "192.0.2.3"))
	assert.Equal(t, 403, status, "the token is for this address")
	require.Equal(t, 429, e.try("192.0.2.2", "bob", "oops", 1))
	status, body := post(d, "/act", confirmed)
	assert.Equal(t, 200, status)
	assert.Contains(t, body, "192.0.2.2")
	assert.Equal(t, 401, e.try("192.0.2.2", "bob", "oops", 1))
	require.Len(t, recorded, 1)
	assert.Equal(t, netip.MustParseAddr("192.0.2.2"), recorded[0].Addr)
}
