package login_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/login"
)

// What outer middleware has set before, and what is set when the header was sent, is not what the
// handler has answered. So a cookie there proves no success.
func TestFieldsThatTheHandlerDidNotSend(t *testing.T) {
	set := func(w http.ResponseWriter) { http.SetCookie(w, &http.Cookie{Name: "session", Value: "x"}) }
	for name, tc := range map[string]struct {
		outer  http.HandlerFunc
		answer http.HandlerFunc
	}{
		"a cookie of outer middleware": {
			outer:  func(w http.ResponseWriter, _ *http.Request) { set(w) },
			answer: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) },
		},
		"a cookie after the status": {answer: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(401)
			set(w)
		}},
		"a cookie after the body": {answer: func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("wrong password"))
			set(w)
		}},
		"a cookie after a flush": {answer: func(w http.ResponseWriter, _ *http.Request) {
			w.(http.Flusher).Flush()
			set(w)
		}},
		"a trailer": {answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "Set-Cookie")
			w.WriteHeader(401)
			set(w)
		}},
		"a cookie of an early response": {answer: func(w http.ResponseWriter, _ *http.Request) {
			set(w)
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Del("Set-Cookie")
			w.WriteHeader(401)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg, checks := byHandler(), 0
				cfg.Succeeded = login.SetsCookie("session")
				inner := bare(t, cfg, unreported()).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					checks++
					tc.answer(w, r)
				}))
				h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if tc.outer != nil {
						tc.outer(w, r)
					}
					inner.ServeHTTP(w, r)
				})
				for range 30 {
					serve(h, attempt("192.0.2.1", "victim", "guess"))
				}
				assert.Equal(t, 5, checks)
			})
		})
	}
}

// The cookie of a handler is seen beside cookies of outer middleware, and if an outer layer adds it
// when the header is sent, as middleware for sessions does.
func TestCookieBesideOthers(t *testing.T) {
	cfg := byHandler()
	cfg.Succeeded = login.SetsCookie("session")
	s := &route{Guard: bare(t, cfg, unreported())}
	inner := s.Guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: r.PostFormValue("password"), Value: "x"})
		w.WriteHeader(http.StatusSeeOther)
	}))
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Set-Cookie", "lang=de")
		inner.ServeHTTP(&atLast{w}, r)
	})
	require.Equal(t, 303, s.try("10.0.0.1", "alice", "other"))
	assert.False(t, s.state(t, "alice", "10.0.0.1").Known)
	require.Equal(t, 303, s.try("10.0.0.1", "alice", "session"))
	assert.True(t, s.state(t, "alice", "10.0.0.1").Known)
	require.Equal(t, 303, s.try("10.0.0.2", "alice", "outside"))
	assert.True(t, s.state(t, "alice", "10.0.0.2").Known)
}

// atLast adds a cookie for another one when the header is written.
type atLast struct{ http.ResponseWriter }

func (w *atLast) WriteHeader(status int) {
	if strings.Contains(strings.Join(w.Header()["Set-Cookie"], ";"), "outside=x") {
		w.Header().Add("Set-Cookie", "session=x")
	}
	w.ResponseWriter.WriteHeader(status)
}

// A handler shows its form, ends a session or answers a preflight with the status of a success, at
// the route of the login. No such answer clears the failures of an account that the request names.
func TestAnswersToOtherMethodsProveNothing(t *testing.T) {
	const body = `{"email":"victim"}`
	post := func(method, query string, fields ...string) *http.Request {
		r := posted("192.0.2.1", query, "application/json", body)
		r.Method = method
		for i := 0; i < len(fields); i += 2 {
			r.Header.Set(fields[i], fields[i+1])
		}
		return r
	}
	for name, tc := range map[string]struct {
		request *http.Request
		proves  bool
	}{
		"POST":          {post("POST", ""), true},
		"PUT":           {post("PUT", ""), true},
		"PATCH":         {post("PATCH", "?next=/"), true},
		"credentials":   {post("GET", "", "Authorization", "Basic YTpi"), true},
		"GET":           {post("GET", ""), false},
		"GET, a query":  {post("GET", "?next=/"), false},
		"HEAD":          {post("HEAD", ""), false},
		"OPTIONS":       {post("OPTIONS", ""), false},
		"DELETE":        {post("DELETE", ""), false},
		"another":       {post("PROPFIND", ""), false},
		"a method":      {post("POST", "", "X-HTTP-Method-Override", "GET"), false},
		"underscores":   {post("POST", "", "X_HTTP_Method_Override", "GET"), false},
		"its old name":  {post("POST", "", "X-HTTP-Method", "GET"), false},
		"another name":  {post("POST", "", "X-Method-Override", "GET"), false},
		"a query":       {post("POST", "?_method=GET"), false},
		"another query": {post("POST", "?a=1&%5Fmethod=GET"), false},
		"a path":        {post("POST", "", "X-Original-URL", "/"), false},
		"another path":  {post("POST", "", "X-Rewrite-URL", "/"), false},
		"a beginning":   {post("POST", "", "SCRIPT_NAME", "/login"), false},
		"no path":       {withoutPath(post("POST", "")), false},
	} {
		t.Run(name, func(t *testing.T) {
			g := bare(t, login.Config{Account: login.JSONField("email"), Succeeded: ratelimit.StatusIn(200)}, unreported())
			s := &route{Guard: g, Handler: g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(map[bool]int{true: 401, false: 200}[r.Header.Get("X-Wrong") != ""])
			}))}
			wrong := post("POST", "", "X-Wrong", "1")
			require.Equal(t, 401, serve(s, wrong).Code)
			require.Equal(t, 200, serve(s, tc.request).Code)
			assert.Equal(t, tc.proves, s.state(t, "victim", "192.0.2.1").Known)
		})
	}
	form := byHandler()
	form.Succeeded = ratelimit.StatusIn(200)
	s := &route{Guard: bare(t, form, unreported())}
	s.Handler = s.Guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) }))
	serve(s, attempt("192.0.2.1", "victim", "x&_method=get"))
	assert.False(t, s.state(t, "victim", "192.0.2.1").Known, "a method in the form")
}

// withoutPath returns r with a target whose path only a server behind a proxy finds.
func withoutPath(r *http.Request) *http.Request {
	r.URL = &url.URL{Scheme: "x", Opaque: "http://a.example/other"}
	return r
}

func TestSetsCookie(t *testing.T) {
	for _, tc := range []struct {
		name  string
		lines []string
		want  bool
	}{
		{"none", nil, false},
		{"the cookie", []string{"session=x; Path=/; HttpOnly"}, true},
		{"for some time", []string{"session=x; Max-Age=60", "lang=de"}, true},
		{"until a day to come", []string{"session=x; Expires=Fri, 31 Dec 9999 23:59:59 GMT"}, true},
		{"another cookie", []string{"flash=wrong", "Session=x", "xsession=x"}, false},
		{"without a value", []string{"session="}, false},
		{"deleted", []string{"session=x; Max-Age=0"}, false},
		{"deleted before", []string{"session=x; Max-Age=-1"}, false},
		{"expired", []string{"session=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT"}, false},
		{"expired, and yet not", []string{"session=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=60"}, true},
		{"expired, with dashes", []string{"session=x; Expires=Thu, 01-Jan-1970 00:00:00 GMT"}, false},
		{"expired, with a short year", []string{"session=x; expires=Thu, 01-Jan-70 00:00:00 GMT"}, false},
		{"expired, with a whole weekday", []string{"session=x; Expires=Thursday, 01-Jan-1970 00:00:00 GMT"}, false},
		{"expired, as C writes it", []string{"session=x; Expires=Thu Jan  1 00:00:00 1970"}, false},
		{"a date that is none", []string{"session=x; Path=/; Expires =0"}, false},
		{"an age that is none", []string{"session=x; Max-Age=00x"}, false},
		{"a date that is none, and an age", []string{"session=x; Expires=0; Max-Age=60"}, true},
		{"an attribute that is none", []string{"session=x; Priority=High; Partitioned"}, true},
		{"set and deleted", []string{"session=x", "session=; Max-Age=0"}, false},
		{"deleted and set", []string{"session=; Max-Age=0", "session=x"}, true},
		{"no cookie", []string{"session", ";", ""}, false},
	} {
		assert.Equal(t, tc.want, login.SetsCookie("session")(ratelimit.Response{Header: http.Header{"Set-Cookie": tc.lines}}), tc.name)
	}
	for _, name := range []string{"", "a b", "a;", "ü"} {
		assert.PanicsWithValue(t, "login: SetsCookie: want the name of a cookie, such as session", func() { login.SetsCookie(name) }, name)
	}
}
