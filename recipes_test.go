package ratelimit_test

import (
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/clientip"
	"github.com/ratelimit-go/ratelimit/shed"
)

// A recipe is a snippet of the documents, word for word, in what a user has around it. The tests of
// recipes attack it.
type recipe struct {
	limiter   *ratelimit.Limiter
	mux       *http.ServeMux
	items     http.Handler
	userOf    func(*http.Request) string
	partnerOf func(*http.Request) string
	source    clientip.Source
	network   ratelimit.Keyer
	server    *http.Server
}

func (c *recipe) proxyRecipe() error {
	limiter, err := ratelimit.New(ratelimit.Config{
		ClientIP: clientip.ForwardedFor(clientip.TrustedProxies("10.0.0.0/8")),
		Rules:    []ratelimit.Rule{{Name: "per-client", Limits: ratelimit.MustParse("100 per minute")}},
	})
	c.limiter = limiter
	return err
}

func (c *recipe) networkRecipe() {
	source := c.source
	network := ratelimit.KeyFunc(func(r *http.Request) (ratelimit.Key, error) {
		addr, err := source.Addr(r) // source is your Config.ClientIP, or clientip.Remote()
		if err != nil {
			return ratelimit.Key{}, err
		}
		bits := 24
		if addr.Is6() {
			bits = 48
		}
		prefix, err := addr.Prefix(bits)
		return ratelimit.PrefixKey(prefix), err
	})
	c.network = network
}

func (c *recipe) scrapingRecipe() {
	limiter, mux, items, userOf, network := c.limiter, c.mux, c.items, c.userOf, c.network
	signedIn := func(r *http.Request) bool { return userOf(r) != "" }
	lists := limiter.With(
		ratelimit.Rule{
			Name: "list", Limits: ratelimit.MustParse("60 per minute"),
			Key: ratelimit.ByUser(userOf), OnMissingKey: ratelimit.SkipRule,
		},
		ratelimit.Rule{Name: "list-address", Limits: ratelimit.MustParse("10 per minute"), Skip: signedIn},
		ratelimit.Rule{Name: "list-network", Limits: ratelimit.MustParse("30 per minute"), Key: network, Skip: signedIn},
		ratelimit.Rule{
			Name: "list-strangers", Limits: ratelimit.MustParse("300 per minute"),
			Key: ratelimit.Global("strangers"), Skip: signedIn, OmitHeaders: true,
		},
		ratelimit.Rule{Name: "all-lists", Limits: ratelimit.MustParse("50 per second"), Key: ratelimit.Global("all"), OmitHeaders: true},
	)
	mux.Handle("GET /api/users", lists(items))
}

func (c *recipe) webhooksRecipe() {
	limiter, mux, items, partnerOf := c.limiter, c.mux, c.items, c.partnerOf
	partner := ratelimit.ByUser(partnerOf) // the partner whose API key or signature is right, or ""
	webhooks := limiter.With(
		ratelimit.Rule{
			Name: "partner", Limits: ratelimit.MustParse("20 per second"), MaxWait: 2 * time.Second,
			Key: partner, OnMissingKey: ratelimit.DenyRequest,
		},
		ratelimit.Rule{Name: "partner-workers", InFlight: 20, Key: partner},
		ratelimit.Rule{Name: "workers", InFlight: 50, Key: ratelimit.Global("webhooks")},
	)
	mux.Handle("POST /webhooks", webhooks(items))
}

func (c *recipe) probingRecipe() {
	limiter, mux, items, network := c.limiter, c.mux, c.items, c.network
	probing := limiter.With(
		ratelimit.Rule{
			Name:   "admin",
			Limits: ratelimit.MustParse("60 per minute"),
			Block: &ratelimit.Block{
				After: ratelimit.Per(10, time.Minute),
				Max:   24 * time.Hour,
				When:  ratelimit.StatusIn(403, 404),
			},
		},
		ratelimit.Rule{
			Name: "admin-network", Limits: ratelimit.MustParse("100 per minute"),
			Key: network, CountOnly: ratelimit.StatusIn(403, 404),
		},
	)
	ownPages := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			site := r.Header.Get("Sec-Fetch-Site")
			foreign := site != "" && site != "same-origin" && site != "none"
			if foreign && r.Header.Get("Sec-Fetch-User") != "?1" { // not a link that a user followed
				http.Error(w, "Forbidden", http.StatusForbidden)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
	mux.Handle("/admin/", ownPages(probing(items)))
}

func (c *recipe) overloadRecipe(t *testing.T) {
	limiter, mux, userOf := c.limiter, c.mux, c.userOf
	shedder, err := shed.New(shed.Config{
		MaxInFlight:   500,
		TargetLatency: 250 * time.Millisecond,
		Priority: func(r *http.Request) shed.Priority {
			if userOf(r) == "" {
				return shed.Sheddable
			}
			return shed.Normal
		},
	})
	require.NoError(t, err)
	few := limiter.With(ratelimit.Rule{Name: "at-once", InFlight: 20})
	server := &http.Server{
		Handler:           limiter.Handler(few(shedder.Handler(mux))),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second, // also of the body
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
	}
	c.server = server
}

// The recipes that the tests attack are the recipes of the documents.
func TestRecipesAreThoseOfTheDocuments(t *testing.T) {
	here, err := os.ReadFile("recipes_test.go")
	require.NoError(t, err)
	tested := trimmed(string(here))
	for _, recipe := range []struct{ page, heading string }{
		{"README.md", "Behind a proxy"},
		{"docs/abuse.md", "Networks"},
		{"docs/abuse.md", "Scraping"},
		{"docs/abuse.md", "Floods of webhooks"},
		{"docs/abuse.md", "Probing"},
		{"docs/abuse.md", "Overload"},
	} {
		text, err := os.ReadFile(recipe.page)
		require.NoError(t, err)
		block := regexp.MustCompile("(?s)\n## " + recipe.heading + "\n.*?```go\n(.*?)```").FindSubmatch(text)
		require.NotNil(t, block, "%+v", recipe)
		for part := range strings.SplitSeq(string(block[1]), "\n...\n") {
			assert.Contains(t, tested, trimmed(part), "%+v", recipe)
		}
	}
}

// trimmed returns text without indentation and without the last newline.
func trimmed(text string) string {
	var b strings.Builder
	for line := range strings.Lines(strings.TrimSpace(text)) {
		b.WriteString(strings.TrimSpace(line) + "\n")
	}
	return b.String()
}
