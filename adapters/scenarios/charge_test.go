package scenarios_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/login"
)

// chargeScenarios are about what the response decides.
var chargeScenarios = []scenario{
	{"failures count", func(t *testing.T, r *run) {
		failures := ratelimit.Rule{
			Name: "failures", Limits: ratelimit.MustParse("3 per minute"), CountOnly: ratelimit.Failures,
		}
		s := get("/text", ok)
		s.routes = append(s.routes,
			route{"GET", "/empty", nil, func(x exchange) error { return x.Empty(204) }},
			route{"GET", "/nothing", nil, func(x exchange) error { return x.Nothing() }},
			route{"GET", "/fail", nil, func(x exchange) error { return r.fail(x, 422) }})
		s.use = []decorator{r.rules(failures).Handler}
		r.start(s)
		assert.Equal(t, []int{200, 200, 200, 200, 200}, r.statuses(5, "GET", "/text"))
		assert.Equal(t, []int{204, 204, 204, 204, 204}, r.statuses(5, "GET", "/empty"))
		assert.Equal(t, []int{200, 200, 200, 200, 200}, r.statuses(5, "GET", "/nothing"))
		assert.Equal(t, []int{422, 422, 422, 429}, r.statuses(4, "GET", "/fail"))
		assert.Equal(t, []int{429}, r.statuses(1, "GET", "/text"))
		assert.Empty(t, r.reported)
	}},
	{"one status counts", func(t *testing.T, r *run) {
		one := ratelimit.Rule{
			Name: "one", Limits: ratelimit.MustParse("2 per minute"), CountOnly: ratelimit.StatusIn(409),
		}
		s := get("/400", func(x exchange) error { return r.fail(x, 400) })
		s.routes = append(s.routes, route{"GET", "/409", nil, func(x exchange) error { return r.fail(x, 409) }})
		s.use = []decorator{r.rules(one).Handler}
		r.start(s)
		assert.Equal(t, []int{400, 400, 400, 400}, r.statuses(4, "GET", "/400"))
		assert.Equal(t, []int{409, 409, 429}, r.statuses(3, "GET", "/409"))
	}},
	{"failures count in a decorator", func(t *testing.T, r *run) {
		failures := ratelimit.Rule{
			Name: "failures", Limits: ratelimit.MustParse("3 per minute"), CountOnly: ratelimit.Failures,
		}
		l := r.rules(rule("all", "10 per minute"))
		s := get("/x", func(x exchange) error { return r.fail(x, 400) }, l.With(failures))
		s.use = []decorator{l.Handler}
		r.start(s)
		assert.Equal(t, []int{400, 400, 400, 429, 429}, r.statuses(5, "GET", "/x"))
	}},
	{"failures count twice", func(t *testing.T, r *run) {
		rules := make([]ratelimit.Rule, 2)
		for i := range rules {
			rules[i] = ratelimit.Rule{
				Name: fmt.Sprint("failures", i), Limits: ratelimit.MustParse("2 per minute"), CountOnly: ratelimit.Failures,
			}
		}
		l := r.rules(rules[0])
		s := get("/x", func(x exchange) error { return r.fail(x, 400) }, l.With(rules[1]))
		s.use = []decorator{l.Handler}
		r.start(s)
		assert.Equal(t, []int{400, 400, 429}, r.statuses(3, "GET", "/x"))
	}},
	{"a panic counts", func(t *testing.T, r *run) {
		failures := ratelimit.Rule{
			Name: "failures", Limits: ratelimit.MustParse("2 per minute"), CountOnly: ratelimit.StatusIn(500),
		}
		s := get("/x", func(exchange) error { panic("x") })
		s.use = []decorator{r.rules(failures).Handler}
		r.start(s)
		assert.Equal(t, []int{500, 500, 429}, r.statuses(3, "GET", "/x"))
	}},
	{"a panic leaves its place", func(t *testing.T, r *run) {
		one := ratelimit.Rule{
			Name: "one", Limits: ratelimit.MustParse("3 per minute"), InFlight: 1, CountOnly: ratelimit.Failures,
		}
		s := get("/x", func(exchange) error { panic("x") })
		s.use = []decorator{r.rules(one).Handler}
		r.start(s)
		assert.Equal(t, []int{500, 500, 500, 429}, r.statuses(4, "GET", "/x"))
	}},
	{"the response is the cost", func(t *testing.T, r *run) {
		bytes := ratelimit.Rule{
			Name: "bytes", Limits: ratelimit.MustParse("100 per minute"),
			ResponseCost: func(res ratelimit.Response) int64 {
				r.note("%d %s %d %q", res.Status, res.Request.Method, res.Bytes, res.Header.Get("X-Handler"))
				return res.Bytes
			},
		}
		s := get("/x", func(x exchange) error {
			x.SetHeader("X-Handler", "1")
			return x.Text(200, strings.Repeat("a", 60))
		})
		s.use = []decorator{r.rules(bytes).Handler}
		r.start(s)
		assert.Equal(t, []int{200, 200, 429}, r.statuses(3, "GET", "/x"))
	}},
	{"SetCost and the decision", func(t *testing.T, r *run) {
		s := get("/x", func(x exchange) error {
			d, ok := ratelimit.DecisionFrom(x.Context())
			return x.Text(200, fmt.Sprint(d.Remaining, ok, ratelimit.SetCost(x.Context(), "rows", 4)))
		})
		s.use = []decorator{r.rules(rule("rows", "10 per minute")).Handler}
		r.start(s)
		r.statuses(4, "GET", "/x")
		assert.Contains(t, r.answers[0], "9 true <nil>")
	}},
	{"violations block", func(t *testing.T, r *run) {
		probing := rule("probing", "100 per minute")
		probing.Block = &ratelimit.Block{
			After: ratelimit.MustParse("2 per minute")[0], When: ratelimit.StatusIn(403),
		}
		s := get("/x", func(x exchange) error { return r.fail(x, 403) })
		s.routes = append(s.routes, route{method: "GET", path: "/y", do: ok})
		s.use = []decorator{r.rules(probing).Handler}
		r.start(s)
		assert.Equal(t, []int{200, 200, 200}, r.statuses(3, "GET", "/y"))
		assert.Equal(t, []int{403, 403, 429, 429}, r.statuses(4, "GET", "/x"))
		assert.Equal(t, []int{429}, r.statuses(1, "GET", "/y"))
	}},
	{"a shared cache", func(t *testing.T, r *run) {
		s := get("/x", func(x exchange) error {
			x.SetHeader("Cache-Control", "public, max-age=60")
			return x.Text(200, "ok")
		})
		s.routes = append(s.routes, route{method: "GET", path: "/y", do: ok})
		s.use = []decorator{r.limiter(ratelimit.Config{
			Rules: []ratelimit.Rule{rule("all", "10 per minute")}, SharedCache: true,
		}).Handler}
		r.start(s)
		r.send("GET", "/x", "")
		assert.NotContains(t, r.answers[0], "RateLimit")
		r.send("GET", "/y", "")
	}},
	{"fields of a backend", func(t *testing.T, r *run) {
		s := get("/x", func(x exchange) error {
			x.SetHeader("RateLimit", `"backend";r=1;t=2`)
			x.SetHeader("RateLimit-Policy", `"backend";q=3;w=4`)
			return x.Text(200, "ok")
		})
		s.use = []decorator{r.limiter(ratelimit.Config{
			Rules: []ratelimit.Rule{rule("all", "10 per minute")}, MergeHeaders: true,
		}).Handler}
		r.start(s)
		r.send("GET", "/x", "")
	}},
	{"login with wrong passwords", func(t *testing.T, r *run) { wrongPasswords(t, r, login.Config{}) }},
	{"login with wrong passwords and Failed", func(t *testing.T, r *run) {
		wrongPasswords(t, r, login.Config{Failed: ratelimit.Failures})
	}},
	{"login with right passwords", func(t *testing.T, r *run) {
		guard := newGuard(t, r, login.Config{Succeeded: ratelimit.StatusIn(200, 204)})
		s := site{routes: []route{
			{"POST", "/text", []decorator{guard.Handler}, ok},
			{"POST", "/empty", []decorator{guard.Handler}, func(x exchange) error { return x.Empty(204) }},
			{"POST", "/nothing", []decorator{guard.Handler}, func(x exchange) error { return x.Nothing() }},
			{"POST", "/told", []decorator{guard.Handler}, func(x exchange) error {
				login.Succeeded(x.Context(), "alice")
				return r.fail(x, 500)
			}},
		}}
		r.start(s)
		for _, path := range []string{"/text", "/empty", "/nothing", "/told"} {
			for range 30 {
				assert.NotEqual(t, 429, r.post(path, "alice", "right"), path)
			}
		}
	}},
	{"login by JSON", func(t *testing.T, r *run) {
		guard := newGuard(t, r, login.Config{Account: login.JSONField("email"), Succeeded: ratelimit.StatusIn(200)})
		r.start(site{routes: []route{{"POST", "/login", []decorator{guard.Handler}, func(x exchange) error {
			if body := x.Body(); strings.Contains(body, "right") {
				return x.Text(200, body) // whole, although the guard has read it
			}
			return r.fail(x, 401)
		}}}})
		post := func(email, password string) int {
			body := fmt.Sprintf(`{"email": %q, "password": %q}`, email, password)
			return r.send("POST", "/login", body, "Content-Type", "application/json")
		}
		assert.Equal(t, 200, post("alice", "right"))
		for range 10 {
			post("bob", "wrong")
		}
		assert.Equal(t, 429, post("bob", "right"), "locked out")
		assert.Equal(t, 200, post("alice", "right"), "alice is not")
	}},
}

func newGuard(t *testing.T, r *run, cfg login.Config) *login.Guard {
	if cfg.Account == nil {
		cfg.Account = login.FormField("email")
	}
	guard, err := login.New(r.limiter(ratelimit.Config{}), cfg)
	require.NoError(t, err)
	return guard
}

// wrongPasswords tries thirty wrong passwords and then the right one.
func wrongPasswords(t *testing.T, r *run, cfg login.Config) {
	cfg.Succeeded = func(res ratelimit.Response) bool { return res.Header.Get("Set-Cookie") != "" }
	guard := newGuard(t, r, cfg)
	checked := 0
	r.start(site{routes: []route{{"POST", "/login", []decorator{guard.Handler}, func(x exchange) error {
		checked++
		if x.Form("password") != "right" {
			return r.fail(x, http.StatusUnauthorized)
		}
		x.SetHeader("Set-Cookie", "session=1")
		return x.Text(200, "welcome")
	}}}})
	assert.Equal(t, 200, r.post("/login", "alice", "right"))
	for range 30 {
		r.post("/login", "bob", "wrong")
	}
	assert.LessOrEqual(t, checked, 6, "wrong passwords that were checked")
	assert.Equal(t, 429, r.post("/login", "bob", "right"), "locked out")
	assert.Equal(t, 200, r.post("/login", "alice", "right"), "known, and another account")
	r.note("%d checked", checked)
}
