package dashboard

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/proof/dashboard/internal/chromium"
	"github.com/ratelimit-go/ratelimit/proof/dashboard/internal/scene"
)

// tab is a tab of Chromium, and what it has complained about.
type tab struct {
	context.Context
	mu       sync.Mutex
	errors   []string // of the console: violations of the policy, failed requests, exceptions
	requests []string // URLs
	dialogs  int
}

// browser is the browser of all tests. TestMain stops it.
var browser struct {
	once sync.Once
	dir  string
	ctx  context.Context
	stop func()
	err  error
}

func TestMain(m *testing.M) {
	if url := os.Getenv(readPages); url != "" {
		if err := readAll(url); err != nil {
			panic(err)
		}
		return
	}
	code := m.Run()
	if browser.stop != nil {
		browser.stop()
	}
	_ = os.RemoveAll(browser.dir)
	os.Exit(code)
}

func startBrowser() {
	if browser.dir, browser.err = os.MkdirTemp("", "chromium"); browser.err == nil {
		browser.ctx, browser.stop, browser.err = chromium.Start(context.Background(), browser.dir)
	}
}

// newTab opens a tab with a profile of its own.
func newTab(t *testing.T) *tab {
	t.Helper()
	browser.once.Do(startBrowser)
	require.NoError(t, browser.err, "is Chromium installed? make clients installs it")
	ctx, cancel := chromedp.NewContext(browser.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	_, err := chromedp.Run(ctx, chromedp.Navigate("about:blank"))
	require.NoError(t, err)
	ctx, cancel = context.WithTimeout(ctx, 40*time.Second)
	t.Cleanup(cancel)
	b := &tab{Context: ctx}
	require.NoError(t, chromedp.Listen(ctx, b.heard))
	_, err = chromedp.Call(ctx, log.Enable, cdp.Empty{})
	require.NoError(t, err)
	_, err = chromedp.Call(ctx, network.Enable, network.EnableParams{})
	require.NoError(t, err)
	return b
}

func (b *tab) heard(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *log.EventEntryAdded:
		b.errors = append(b.errors, e.Entry.Text)
	case *runtime.EventExceptionThrown:
		b.errors = append(b.errors, e.ExceptionDetails.Text)
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
	case *page.EventJavascriptDialogOpening:
		b.dialogs++
	}
}

// seen returns what the tab has complained about, and the URLs of its requests.
func (b *tab) seen() (errors, requests []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.errors...), append([]string(nil), b.requests...)
}

func (b *tab) do(t *testing.T, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	require.NoError(t, chromedp.Do(b, steps...))
}

func eval[T any](t *testing.T, b *tab, script string) T {
	t.Helper()
	got, err := chromedp.Run(b, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	require.NoError(t, err)
	return got
}

// text returns the text of the element that a selector finds.
func (b *tab) text(t *testing.T, selector string) string {
	t.Helper()
	return eval[string](t, b, `document.querySelector("`+selector+`")?.textContent ?? ""`)
}

// waitFor waits until the element has the text, and returns for how long it waited.
func (b *tab) waitFor(t *testing.T, selector, text string) time.Duration {
	t.Helper()
	start := time.Now()
	for !strings.Contains(b.text(t, selector), text) {
		require.Less(t, time.Since(start), 15*time.Second, "%s has no %q: %s", selector, text, b.text(t, selector))
		time.Sleep(20 * time.Millisecond)
	}
	return time.Since(start)
}

// quiet checks that nothing was complained about.
func (b *tab) quiet(t *testing.T) {
	t.Helper()
	errors, _ := b.seen()
	assert.Empty(t, errors, "the console")
}

// serve serves the page of s under a prefix, and returns its URL.
func serve(t *testing.T, s *scene.Scene, prefix string, h http.Handler) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle(prefix, h)
	server := httptest.NewServer(mux)
	t.Cleanup(func() { s.Page.Close(); server.Close() })
	return server.URL + prefix
}

func newScene(t *testing.T) *scene.Scene {
	t.Helper()
	s, err := scene.New()
	require.NoError(t, err)
	return s
}

// scene66 is the address of an attacker.
var scene66 = netip.MustParseAddr("203.0.113.66")
