package dashboard

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/dashboard"
)

func TestAttackerIsOnThePageWithinTwoSeconds(t *testing.T) {
	s := newScene(t)
	b := newTab(t)
	b.do(t, chromedp.Navigate(serve(t, s, "/debug/limits/", s.Page)))
	b.waitFor(t, "#live", "live")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	start := time.Now()
	go func() {
		for ctx.Err() == nil {
			s.Send("GET", "/search", "203.0.113.66", "")
			time.Sleep(5 * time.Millisecond)
		}
	}()
	b.waitFor(t, "#denied", "addr:203.0.113.66")
	took := time.Since(start)
	t.Logf("on the page after %v", took.Round(10*time.Millisecond))
	assert.Less(t, took, 2*time.Second)
	b.waitFor(t, "#asking", "addr:203.0.113.66")
	b.waitFor(t, "#rules", "search")
	b.quiet(t)
}

// A user finds a blocked client and unblocks it, in two steps.
func TestUnblockLetsItIn(t *testing.T) {
	s := newScene(t)
	b := newTab(t)
	k := ratelimit.AddrKey(scene66)
	require.NoError(t, s.Limiter.Block(t.Context(), "per-client", k, time.Hour))
	require.Equal(t, 429, s.Send("GET", "/items", scene66.String(), ""))

	b.do(t, chromedp.Navigate(serve(t, s, "/debug/limits/", s.Page)))
	b.waitFor(t, "#blocks", scene66.String())
	b.do(t, chromedp.Click(`#blocks form[action=confirm] button`), chromedp.WaitVisible(`#confirm`))
	assert.Contains(t, b.text(t, "main"), "support@example.com")
	assert.Equal(t, 429, s.Send("GET", "/items", scene66.String(), ""), "the first step does nothing")
	b.do(t, chromedp.Click(`#confirm`), chromedp.WaitVisible(`h2.info`))
	assert.Equal(t, 200, s.Send("GET", "/items", scene66.String(), ""))
	require.Len(t, s.Actions(), 1)
	assert.Equal(t, "support@example.com", s.Actions()[0].Who)
	b.quiet(t)
}

// The support desk finds a client by its address and resets it under every rule.
func TestFindAndReset(t *testing.T) {
	s := newScene(t)
	b := newTab(t)
	for range 30 {
		s.Send("GET", "/search", scene66.String(), "")
	}
	require.Equal(t, 429, s.Send("GET", "/search", scene66.String(), ""))
	b.do(t, chromedp.Navigate(serve(t, s, "/debug/limits/", s.Page)),
		chromedp.SetValue(`form.search select[name=kind]`, "addr"),
		chromedp.SendKeys(`form.search input[name=text]`, scene66.String()),
		chromedp.Click(`form.search button`), chromedp.WaitVisible(`.found`))
	assert.Contains(t, b.text(t, ".standing"), "0 of 10")
	assert.NotContains(t, eval[string](t, b, `location.href`), "203", "no identity is in a URL")
	b.do(t, chromedp.Click(`.found button[value=reset]`), chromedp.WaitVisible(`#confirm`),
		chromedp.Click(`#confirm`), chromedp.WaitVisible(`h2.info`))
	assert.Equal(t, 200, s.Send("GET", "/search", scene66.String(), ""))
	b.quiet(t)
}

// The support desk sees what the login knows of an account, and unlocks it.
func TestLookUpAndUnlock(t *testing.T) {
	s := newScene(t)
	b := newTab(t)
	for range 8 {
		s.Send("POST", "/login", scene66.String(), "bob@example.com")
	}
	require.Equal(t, 429, s.Send("POST", "/login", scene66.String(), "bob@example.com"))
	b.do(t, chromedp.Navigate(serve(t, s, "/debug/limits/", s.Page)),
		chromedp.SendKeys(`input[name=account]`, "Bob@example.com"),
		chromedp.SendKeys(`input[name=addr]`, scene66.String()),
		chromedp.Click(`form[action=account] button`), chromedp.WaitVisible(`.found`))
	main := b.text(t, ".standing")
	for _, text := range []string{"this account, from this address", scene66.String(), "0 of 5", "denied for", "login-total"} {
		assert.Contains(t, main, text)
	}
	assert.NotContains(t, eval[string](t, b, `location.href`), "bob")
	b.do(t, chromedp.Click(`.found button[value=unlock]`), chromedp.WaitVisible(`#confirm`))
	assert.Contains(t, b.text(t, "main"), scene66.String())
	b.do(t, chromedp.Click(`#confirm`), chromedp.WaitVisible(`h2.info`))
	assert.Equal(t, 401, s.Send("POST", "/login", scene66.String(), "bob@example.com"))
	require.Len(t, s.Actions(), 1)
	assert.Equal(t, scene66, s.Actions()[0].Addr)

	// The form of the page unlocks without a look-up too.
	b.do(t, chromedp.Click(`.steps a`), chromedp.WaitVisible(`input[name=account]`),
		chromedp.SendKeys(`input[name=account]`, "carol"),
		chromedp.Click(`form[action=account] button[value=unlock]`), chromedp.WaitVisible(`#confirm`))
	assert.Contains(t, b.text(t, "main"), "carol")
	b.quiet(t)
}

// Rule names, keys, labels and the title are full of HTML, and stay text.
func TestHTMLStaysText(t *testing.T) {
	const evil = `"'><img/src=x/onerror=window.pwned=1><script>window.pwned=1</script>`
	short := ratelimit.UserKey(`<b>x</b>`)
	long := ratelimit.UserKey(strings.Repeat(evil, 2))
	rule := `<svg/onload=window.pwned=1>&amp;<script>pwned=1</script>`
	l, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{
		{Name: rule, Limits: ratelimit.MustParse("1 per hour"), Block: &ratelimit.Block{}},
		{Name: "trial", Limits: ratelimit.MustParse("1 per hour"), Mode: ratelimit.DryRun},
	}})
	require.NoError(t, err)
	p, err := dashboard.New(l, dashboard.Config{
		Title: evil, Authorize: func(*http.Request) bool { return true },
		MayAct: func(*http.Request) bool { return true }, Who: func(*http.Request) string { return evil },
		Audit: func(context.Context, dashboard.Action) {},
	})
	require.NoError(t, err)
	p.Label(long, evil)
	s := newScene(t)
	s.Page = p
	b := newTab(t)
	b.do(t, chromedp.Navigate(serve(t, s, "/debug/limits/", p)))
	b.waitFor(t, "#live", "live")
	for _, k := range []ratelimit.Key{short, long} {
		for range 4 {
			_, err = l.Take(t.Context(), rule, k, 1)
			require.NoError(t, err)
		}
		require.NoError(t, l.Block(t.Context(), rule, k, time.Hour))
	}
	b.waitFor(t, "#denied", "<b>x</b>")
	b.waitFor(t, "#denied", evil)
	b.waitFor(t, "#rules", rule)
	b.waitFor(t, "#blocks", "<b>x</b>")
	clean := func(where string) {
		assert.False(t, eval[bool](t, b, `"pwned" in window`), where)
		assert.Zero(t, eval[int](t, b, `document.querySelectorAll("img, b b, [onload], [onerror], main script").length`), where)
	}
	clean("the page")
	b.do(t, chromedp.Click(`#blocks form[action=confirm] button`), chromedp.WaitVisible(`#confirm`))
	clean("the second step")
	b.do(t, chromedp.Click(`#confirm`), chromedp.WaitVisible(`main h2`))
	clean("the result")
	b.quiet(t)
	assert.Zero(t, b.dialogs)
}

// The page works under any prefix, and sends no request elsewhere.
func TestNoRequestLeavesThePrefix(t *testing.T) {
	for name, mount := range map[string]func(h http.Handler) (string, http.Handler){
		"a long prefix": func(h http.Handler) (string, http.Handler) { return "/a/b/c/limits/", h },
		"the root":      func(h http.Handler) (string, http.Handler) { return "/", h },
		"a stripped prefix": func(h http.Handler) (string, http.Handler) {
			return "/ops/", http.StripPrefix("/ops", h)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			b := newTab(t)
			prefix, h := mount(s.Page)
			url := serve(t, s, prefix, h)
			b.do(t, chromedp.Navigate(url))
			b.waitFor(t, "#live", "live")
			s.Send("GET", "/search", scene66.String(), "")
			b.waitFor(t, "#asking", scene66.String())
			b.do(t, chromedp.Click(`#asking form.who button`), chromedp.WaitVisible(`.found`),
				chromedp.Click(`.found button[value=reset]`), chromedp.WaitVisible(`#confirm`),
				chromedp.Click(`#confirm`), chromedp.WaitVisible(`h2.info`), chromedp.Click(`a.button`))
			b.waitFor(t, "#live", "live")
			_, requests := b.seen()
			assert.GreaterOrEqual(t, len(requests), 8)
			for _, r := range requests {
				if r != "about:blank" {
					assert.True(t, strings.HasPrefix(r, url), "%s is not below %s", r, url)
				}
			}
			b.quiet(t)
		})
	}
}

// A page of another site sends forms, as its visitor. Nothing changes.
func TestCrossSitePostsChangeNothing(t *testing.T) {
	s := newScene(t)
	url := serve(t, s, "/debug/limits/", s.Page)
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(`<!doctype html><form method=post action="` + url + `confirm">
			<input name=action value=mode><input name=rule value=search><input name=mode value=off></form>
			<iframe src="` + url + `"></iframe>`))
	}))
	t.Cleanup(evil.Close)
	for name, from := range map[string]string{
		"another port":      evil.URL,
		"another host name": strings.Replace(evil.URL, "127.0.0.1", "localhost", 1),
	} {
		t.Run(name, func(t *testing.T) {
			b := newTab(t)
			b.do(t, chromedp.Navigate(from))
			errors, _ := b.seen()
			assert.Contains(t, strings.Join(errors, "\n"), "frame-ancestors", "the page cannot be framed")
			for _, path := range []string{"confirm", "act", "find"} {
				eval[bool](t, b, `fetch("`+url+path+`", {method: "POST", mode: "no-cors",
					credentials: "include", body: new URLSearchParams({action: "mode", rule: "search",
					mode: "off", kind: "user", text: "x"})}).then(() => true, () => false)`)
			}
			b.do(t, chromedp.Submit(`form`), chromedp.WaitVisible(`main`))
			assert.Contains(t, b.text(t, "main"), "another site")
		})
	}
	assert.Empty(t, s.Actions())
	for _, r := range s.Limiter.Stats().Rules {
		if r.Name == "search" {
			assert.Equal(t, "enforce", r.Mode)
		}
	}
}

// Without JavaScript the page is a snapshot that can be read, searched and acted on.
func TestWithoutJavaScript(t *testing.T) {
	s := newScene(t)
	for range 20 {
		s.Send("GET", "/search", scene66.String(), "")
	}
	b := newTab(t)
	_, err := chromedp.Call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	require.NoError(t, err)
	b.do(t, chromedp.Navigate(serve(t, s, "/debug/limits/", s.Page)), chromedp.WaitVisible(`#rules`))
	main, err := chromedp.Run(b, chromedp.Text(`main`))
	require.NoError(t, err)
	for _, text := range []string{"search", "addr:203.0.113.66", "40 per hour burst 10", "denied/s"} {
		assert.Contains(t, main, text)
	}
	b.do(t, chromedp.Click(`#denied form.who button`), chromedp.WaitVisible(`.found`))
	b.quiet(t)
}

// What a user has opened or typed stays while the page moves.
func TestOpenMenusStay(t *testing.T) {
	s := newScene(t)
	s.Send("GET", "/search", scene66.String(), "")
	b := newTab(t)
	b.do(t, chromedp.Navigate(serve(t, s, "/debug/limits/", s.Page)))
	b.waitFor(t, "#live", "live")
	b.do(t, chromedp.Click(`tr[data-key=search] summary`), chromedp.SendKeys(`form.search input[name=text]`, "user:b"))
	for range 40 { // the checkout becomes the first row
		s.Send("POST", "/orders", scene66.String(), "")
	}
	b.waitFor(t, "#rules", "checkout")
	b.waitFor(t, "#asking", "41")
	assert.True(t, eval[bool](t, b, `document.querySelector("tr[data-key=search] details").open`))
	assert.False(t, eval[bool](t, b, `document.querySelector("tr[data-key=checkout] details").open`))
	assert.Equal(t, "user:b", eval[string](t, b, `document.querySelector("form.search input[name=text]").value`))
	assert.True(t, eval[bool](t, b, `document.activeElement.name === "text"`))
	b.quiet(t)
}

// Nothing is wider than the screen of a phone.
func TestFitsAPhone(t *testing.T) {
	s := newScene(t)
	for range 20 {
		s.Send("GET", "/search", scene66.String(), strings.Repeat("long", 30))
	}
	require.NoError(t, s.Limiter.Block(t.Context(), "per-client", ratelimit.AddrKey(scene66), time.Hour))
	b := newTab(t)
	b.do(t, chromedp.EmulateViewport(360, 800, chromedp.EmulateMobile),
		chromedp.Navigate(serve(t, s, "/debug/limits/", s.Page)))
	b.waitFor(t, "#live", "live")
	assert.LessOrEqual(t, eval[int](t, b, `document.documentElement.scrollWidth`), 360, "the page")
	b.do(t, chromedp.Click(`#blocks form.who button`), chromedp.WaitVisible(`.found`))
	assert.LessOrEqual(t, eval[int](t, b, `document.documentElement.scrollWidth`), 360, "the support desk")
}
