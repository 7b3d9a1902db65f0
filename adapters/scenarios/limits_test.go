package scenarios_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/ratelimit-go/ratelimit"
)

func rule(name, limits string) ratelimit.Rule {
	return ratelimit.Rule{Name: name, Limits: ratelimit.MustParse(limits)}
}

// limitScenarios are about who is allowed.
var limitScenarios = []scenario{
	{"a limit for everything", func(t *testing.T, r *run) {
		s := get("/x", ok)
		s.use = []decorator{r.rules(rule("all", "2 per minute")).Handler}
		r.start(s)
		assert.Equal(t, []int{200, 200, 429, 429}, r.statuses(4, "GET", "/x"))
	}},
	{"two rules and a rule of a route", func(t *testing.T, r *run) {
		s := get("/search", ok)
		s.routes = append(s.routes, route{method: "GET", path: "/items/{id}", do: ok})
		s.use = []decorator{r.limiter(ratelimit.Config{
			Rules:  []ratelimit.Rule{rule("day", "9 per day"), rule("minute", "5 per minute")},
			Routes: map[string][]ratelimit.Rule{"GET /search": {rule("search", "2 per minute")}},
		}).Handler}
		r.start(s)
		assert.Equal(t, []int{200, 200, 429}, r.statuses(3, "GET", "/search"))
		assert.Equal(t, []int{200, 200, 200, 429}, r.statuses(4, "GET", "/items/1"))
	}},
	{"a decorated route", func(t *testing.T, r *run) {
		l := r.rules()
		s := get("/x", ok, l.Limit("1 per minute"))
		s.routes = append(s.routes, route{"GET", "/y", []decorator{l.With(rule("y", "2 per minute"))}, ok})
		r.start(s)
		assert.Equal(t, []int{200, 429}, r.statuses(2, "GET", "/x"))
		assert.Equal(t, []int{200, 200, 429}, r.statuses(3, "GET", "/y"))
	}},
	{"a decorator inside of a limiter", func(t *testing.T, r *run) {
		l := r.rules(rule("all", "3 per minute"))
		s := get("/x", ok, l.With(rule("x", "1 per minute")))
		s.routes = append(s.routes, route{method: "GET", path: "/y", do: ok})
		s.use = []decorator{l.Handler}
		r.start(s)
		assert.Equal(t, []int{200, 429, 429}, r.statuses(3, "GET", "/x"), "denied by the inner rule")
		assert.Equal(t, []int{200, 200, 429}, r.statuses(3, "GET", "/y"), "its denials cost nothing outside")
	}},
	{"a DenyHandler", func(t *testing.T, r *run) {
		s := get("/x", ok)
		s.use = []decorator{r.limiter(ratelimit.Config{
			Rules: []ratelimit.Rule{rule("all", "1 per minute")},
			DenyHandler: func(w http.ResponseWriter, _ *http.Request, d ratelimit.Decision) {
				w.Header().Set("X-Handler", d.Rule)
				w.WriteHeader(http.StatusServiceUnavailable)
				_, _ = fmt.Fprintf(w, "come back in %v", d.RetryAfter)
			},
		}).Handler}
		r.start(s)
		assert.Equal(t, []int{200, 503}, r.statuses(2, "GET", "/x"))
	}},
	{"a DenyHandler without a body", func(t *testing.T, r *run) {
		s := get("/x", ok)
		s.use = []decorator{r.limiter(ratelimit.Config{
			Rules: []ratelimit.Rule{rule("all", "1 per minute")},
			DenyHandler: func(w http.ResponseWriter, _ *http.Request, _ ratelimit.Decision) {
				w.Header()["Content-Type"] = nil
				w.WriteHeader(http.StatusTooManyRequests)
			},
		}).Handler}
		r.start(s)
		assert.Equal(t, 200, r.send("GET", "/x", ""))
		assert.Equal(t, 429, r.send("GET", "/x", ""))
	}},
	{"older header fields and text", func(t *testing.T, r *run) {
		s := get("/x", ok)
		s.use = []decorator{r.limiter(ratelimit.Config{
			Rules: []ratelimit.Rule{rule("all", "1 per minute")}, Headers: ratelimit.Draft6Headers,
		}).Handler}
		r.start(s)
		assert.Equal(t, 200, r.send("GET", "/x", "", "Accept", "text/plain"))
		assert.Equal(t, 429, r.send("GET", "/x", "", "Accept", "text/plain"))
	}},
	{"HEAD", func(t *testing.T, r *run) {
		s := site{routes: []route{{"HEAD", "/x", nil, func(x exchange) error { return x.Empty(200) }}}}
		s.use = []decorator{r.rules(rule("all", "2 per minute")).Handler}
		r.start(s)
		assert.Equal(t, []int{200, 200, 429}, r.statuses(3, "HEAD", "/x"))
	}},
	{"routes by pattern and path values", func(t *testing.T, r *run) {
		byPattern := ratelimit.Rule{
			Name: "route", Limits: ratelimit.MustParse("2 per minute"), Key: ratelimit.ByPattern(),
			OnMissingKey: ratelimit.DenyRequest,
		}
		byValue := ratelimit.Rule{
			Name: "id", Limits: ratelimit.MustParse("1 per minute"), OnMissingKey: ratelimit.DenyRequest,
			Key: ratelimit.ByValue("id", func(q *http.Request) string { return q.PathValue("id") }),
		}
		l := r.rules()
		with := l.With(byPattern)
		show := func(x exchange) error { return x.Text(200, x.Param("id")) }
		r.start(site{routes: []route{
			{"GET", "/items/{id}", []decorator{with}, show},
			{"GET", "/users/{id}", []decorator{with}, show},
			{"GET", "/ids/{id}", []decorator{l.With(byValue)}, show},
		}})
		for _, path := range strings.Fields("/items/1 /items/2 /items/3 /users/1 /ids/1 /ids/1 /ids/2") {
			r.send("GET", path, "")
		}
	}},
	{"clients by field and cookie", func(t *testing.T, r *run) {
		key := func(q *http.Request) string { return strings.Join(q.Header.Values("X-Part"), "+") }
		l := r.rules(ratelimit.Rule{
			Name: "parts", Limits: ratelimit.MustParse("1 per minute"), Key: ratelimit.ByValue("parts", key),
		}, ratelimit.Rule{
			Name: "session", Limits: ratelimit.MustParse("3 per minute"), Key: ratelimit.ByCookie("session"),
			OnMissingKey: ratelimit.SkipRule,
		})
		s := get("/x", ok)
		s.use = []decorator{l.Handler}
		r.start(s)
		assert.Equal(t, 200, r.send("GET", "/x", "", "X-Part", "a", "X-Part", "b"))
		assert.Equal(t, 200, r.send("GET", "/x", "", "X-Part", "b"), "each line of a field counts")
		assert.Equal(t, 429, r.send("GET", "/x", "", "X-Part", "a", "X-Part", "b"))
		for i := range 5 {
			r.send("GET", "/x", "", "X-Part", fmt.Sprint(i), "Cookie", "theme=1; session=s", "Cookie", "a=2")
		}
	}},
	{"CORS", func(t *testing.T, r *run) {
		cors := func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
				w.Header().Set("Access-Control-Allow-Origin", q.Header.Get("Origin"))
				if q.Method == http.MethodOptions {
					w.WriteHeader(http.StatusNoContent)
					return
				}
				next.ServeHTTP(w, q)
			})
		}
		s := get("/x", ok)
		s.use = []decorator{cors, r.rules(rule("all", "2 per minute")).Handler}
		r.start(s)
		for range 4 {
			assert.Equal(t, 204, r.send("OPTIONS", "/x", "", "Origin", "https://example.com"), "preflights are free")
		}
		for range 3 {
			r.send("GET", "/x", "", "Origin", "https://example.com")
		}
	}},
	{"no route", func(t *testing.T, r *run) {
		l := r.rules(ratelimit.Rule{
			Name: "probing", Limits: ratelimit.MustParse("3 per minute"), CountOnly: ratelimit.StatusIn(404, 405),
		})
		s := get("/x", ok)
		s.use = []decorator{l.Handler}
		r.start(s)
		assert.Equal(t, []int{200, 200, 200, 200}, r.statuses(4, "GET", "/x"))
		assert.Equal(t, []int{404, 404}, r.statuses(2, "GET", "/nowhere"))
		assert.Equal(t, []int{405, 429}, r.statuses(2, "POST", "/x"))
	}},
}
