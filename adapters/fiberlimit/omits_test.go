package fiberlimit

import (
	"context"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/clientip"
)

// namesIn returns the names of fields in the part of a file that begins with the given text.
func namesIn(t *testing.T, file, begin string) []string {
	source, err := os.ReadFile(file)
	require.NoError(t, err)
	_, part, found := strings.Cut(string(source), begin)
	require.True(t, found)
	part, _, _ = strings.Cut(part, "\n}\n")
	var names []string
	for _, match := range regexp.MustCompile(`"([A-Z][A-Za-z-]+)"`).FindAllStringSubmatch(part, -1) {
		names = append(names, match[1])
	}
	require.NotEmpty(t, names)
	return names
}

func omitted(t *testing.T) []string { return namesIn(t, "fields.go", "func omits(") }

// A limiter knows which fields a light request goes without.
func TestNamesOfOmittedFields(t *testing.T) {
	names := omitted(t)
	assert.Equal(t, namesIn(t, "../../internal/copied/fields.go", "var omitted ="), names)
	for _, name := range names {
		assert.True(t, omits([]byte(name)), name)
		assert.False(t, omits([]byte(strings.ToLower(name))), "it is not worth the time")
		assert.Equal(t, name, http.CanonicalHeaderKey(name))
	}
	for _, name := range []string{"Host", "host", "Transfer-Encoding", "transfer-encoding"} {
		assert.True(t, omits([]byte(name)) && elsewhere([]byte(name)), name)
	}
}

// A key can be in any field.
func TestKeysInOmittedFields(t *testing.T) {
	for _, name := range append(omitted(t), "X-Key") {
		if name == "Connection" || name == "Content-Length" { // app.Test writes its own
			continue
		}
		a := newAnswers(t, fiber.Config{}, ratelimit.Config{Rules: []ratelimit.Rule{{
			Name: "key", Limits: ratelimit.MustParse("1 per hour"), Key: ratelimit.ByHeader(name),
		}}})
		for i, want := range []int{200, 200, 429, 429} {
			r, err := http.NewRequestWithContext(t.Context(), "GET", "/", nil)
			require.NoError(t, err)
			r.Header.Set(name, fmt.Sprint(i%2))
			assert.Equal(t, want, a.send(t, r).status, name)
		}
	}
}

// answers is an app with a limiter, and what the limiter has reported.
type answers struct {
	app    *fiber.App
	errors []string
}

type answer struct {
	status int
	header http.Header
	body   string
}

func newAnswers(t *testing.T, fc fiber.Config, cfg ratelimit.Config) *answers {
	a := &answers{app: fiber.New(fc)}
	cfg.Clock = func() time.Time { return time.Unix(1_000_000, 0) }
	cfg.Hooks.Error = func(_ context.Context, err error) { a.errors = append(a.errors, err.Error()) }
	limiter, err := ratelimit.New(cfg)
	require.NoError(t, err)
	a.app.Use(Handler(limiter))
	a.app.All("/*", func(c fiber.Ctx) error {
		if c.Query("outer") != "" {
			c.Append("RateLimit", "mine")
			c.Append("Cache-Control", "public")
		}
		return c.SendString("ok")
	})
	return a
}

func (a *answers) send(t *testing.T, r *http.Request) answer {
	resp, err := a.app.Test(r.Clone(t.Context()), fiber.TestConfig{Timeout: 10 * time.Second})
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	resp.Header.Del("Date")
	return answer{resp.StatusCode, resp.Header, string(body)}
}

// A limiter answers and reports the same, whether it sees a light request or a whole one.
func TestLightRequestsAgree(t *testing.T) {
	rule := func(name, limits string, key ratelimit.Keyer) ratelimit.Rule {
		return ratelimit.Rule{Name: name, Limits: ratelimit.MustParse(limits), Key: key}
	}
	trusted := clientip.TrustedHops(1)
	browsers := &ratelimit.List{ClientIP: clientip.Header("X-Real-Ip", trusted)}
	require.NoError(t, browsers.Replace([]string{"192.0.2.1"}))
	for name, cfg := range map[string]ratelimit.Config{
		"the address": {Rules: []ratelimit.Rule{rule("all", "150 per hour", nil)}},
		"X-Forwarded-For": {
			ClientIP: clientip.ForwardedFor(trusted), Rules: []ratelimit.Rule{rule("all", "9 per hour; 20 per day", nil)},
		},
		"Forwarded": {
			ClientIP: clientip.Forwarded(trusted), Headers: ratelimit.LegacyHeaders,
			Rules: []ratelimit.Rule{rule("all", "9 per hour", nil)},
		},
		"a list": {Deny: browsers, Rules: []ratelimit.Rule{rule("all", "150 per hour", nil)}},
		"keys": {Rules: []ratelimit.Rule{rule("keys", "20 per hour", ratelimit.FirstOf(
			ratelimit.ByCookie("a"), ratelimit.ByHeader("X-Key"), ratelimit.ByHeader("Authorization"), ratelimit.ByClientIP()))}},
		"a key in an omitted field": {Rules: []ratelimit.Rule{
			rule("all", "100 per hour", nil), rule("agent", "9 per hour", ratelimit.ByHeader("User-Agent")),
		}},
		"routes": {
			SharedCache: true,
			Routes: map[string][]ratelimit.Rule{
				"POST /login": {rule("login", "5 per hour", nil)}, "GET shop.example/": {rule("shop", "50 per hour", nil)},
			},
			ExemptRoutes: []string{"/health"},
		},
		"merged": {MergeHeaders: true, Rules: []ratelimit.Rule{rule("all", "150 per hour", nil)}},
	} {
		for _, raw := range []bool{false, true} {
			t.Run(fmt.Sprint(name, raw), func(t *testing.T) {
				light := newAnswers(t, fiber.Config{DisableHeaderNormalizing: raw}, cfg)
				shown := cfg
				shown.Hooks.Decided = func(*http.Request, ratelimit.Decision, iter.Seq[ratelimit.Decision]) {}
				whole := newAnswers(t, fiber.Config{DisableHeaderNormalizing: raw}, shown)
				statuses := map[int]int{}
				requests := requests{rand.New(rand.NewPCG(1, 2)), omitted(t)}
				for range 400 {
					r := requests.next(t)
					want := whole.send(t, r)
					statuses[want.status]++
					require.Equal(t, want, light.send(t, r), "%v", r)
				}
				assert.ElementsMatch(t, whole.errors, light.errors)
				assert.GreaterOrEqual(t, len(statuses), 2, "some are denied")
			})
		}
	}
}

// requests are random, with the fields that limiters read and with others.
type requests struct {
	*rand.Rand
	omitted []string
}

func (r requests) one(of ...string) string { return of[r.IntN(len(of))] }

func (r requests) next(t *testing.T) *http.Request {
	path := r.one("/", "/login", "/LOGIN", "/health", "/a%2fb", "/login/?_method=POST", "/x?outer=1")
	req, err := http.NewRequestWithContext(t.Context(), r.one("GET", "POST"), "http://shop.example"+path, nil)
	require.NoError(t, err)
	req.Host = r.one("shop.example", "SHOP.example:80", "other.example")
	for range r.IntN(10) {
		name := r.one(r.one(r.omitted...), r.one(
			"Accept", "Authorization", "Cookie", "X-Key", "X-Real-Ip", "X-Forwarded-For", "Forwarded", "X-Forwarded-Host",
			"X-Http-Method-Override", "X-Original-Url", "Cf-Connecting-Ip", "Via", "X-Other",
		))
		if name == "Connection" || name == "Content-Length" { // app.Test writes its own
			continue
		}
		if r.IntN(8) == 0 {
			name = strings.ToLower(name)
		}
		value := r.one("192.0.2.1", "192.0.2.2", "for=192.0.2.1;host=shop.example", "a=1; b=2", "POST", "/login",
			"text/html", "*/*", "application/json;q=0.1, text/*", "")
		req.Header[name] = append(req.Header[name], value)
	}
	return req
}
