package routes

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A function that names what is not free must be true for every spelling. A function that lists
// what is free is not asked about other spellings of it.
func TestEveryOfAnotherSpelling(t *testing.T) {
	notLogin := func(r *http.Request) bool { return r.URL.Path != "/login" }
	notAdmin := func(r *http.Request) bool { return !strings.HasPrefix(r.URL.Path, "/admin/") }
	notAPI := func(r *http.Request) bool { return r.Host != "api.example.com" }
	notAPILogin := func(r *http.Request) bool { return notAPI(r) || notLogin(r) }
	static := func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/static/") }
	robots := func(r *http.Request) bool { return r.URL.Path == "/robots.txt" || r.URL.Path == "/" }
	styles := func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, ".css") }
	upper := func(r *http.Request) bool { return r.URL.Path == "/Status/" }
	cdn := func(r *http.Request) bool { return r.Host == "CDN.example.com:8080" }
	staticNotAPI := func(r *http.Request) bool { return static(r) && notAPI(r) }
	for _, row := range []struct {
		name        string
		f           func(*http.Request) bool
		host, path  string
		free        bool
		field, text string
	}{
		{"plain", notLogin, "", "/other", true, "", ""},
		{"the path", notLogin, "", "/login", false, "", ""},
		{"letter case", notLogin, "", "/LogIn", false, "", ""},
		{"letter case beyond ASCII", notLogin, "", "/LOG%C4%B0N", false, "", ""},
		{"a dotless i", notLogin, "", "/log%C4%B1n", false, "", ""},
		{"letter case of another path", notLogin, "", "/Other", true, "", ""},
		{"a slash", notLogin, "", "/login/", false, "", ""},
		{"a slash of another path", notLogin, "", "/other/", true, "", ""},
		{"an extension", notLogin, "", "/login.json", false, "", ""},
		{"two extensions", notLogin, "", "/login.tar.gz", false, "", ""},
		{"all three", notLogin, "", "/LOGIN.Json/", false, "", ""},
		{"an encoded extension", notLogin, "", "/login%2ejson", false, "", ""},
		{"an extension of another path", notLogin, "", "/logins.json", true, "", ""},
		{"a script", notLogin, "", "/index.php/login", false, "", ""},
		{"a script with an extension", notLogin, "", "/index.php/login.xml", false, "", ""},
		{"the file of a directory", notLogin, "", "/login/index.php", false, "", ""},
		{"the default file of a directory", notLogin, "", "/LOGIN/Default.aspx", false, "", ""},
		{"the file of another directory", notLogin, "", "/other/index.php", true, "", ""},
		{"a name before the path", notLogin, "", "//www.example.com/login", false, "", ""},
		{"a host before the path", notAPILogin, "www.example.com", "//api.example.com/login", false, "", ""},
		{"a host behind a backslash", notAPILogin, "www.example.com", "/%5capi.example.com/login", false, "", ""},
		{"a path in a field with underscores", notLogin, "", "/other", false, "X_Original-URL", "/login"},
		{"a host in a field with underscores", notAPI, "www.example.com", "/", false, "X_forwarded_host", "api.example.com"},
		{"too many scripts", notLogin, "", strings.Repeat("/a.php", 9) + "/x", false, "", ""},
		{"a prefix in letter case", notAdmin, "", "/ADMIN/x", false, "", ""},
		{"a prefix behind a script", notAdmin, "", "/a.cgi/admin/x", false, "", ""},
		{"a host in letter case", notAPI, "API.example.com", "/", false, "", ""},
		{"a host with a port", notAPI, "api.example.com:1", "/", false, "", ""},
		{"a host with a dot", notAPI, "api.example.com.", "/", false, "", ""},
		{"another host with a port", notAPI, "www.example.com:1", "/", true, "", ""},
		{"a doubtful host", notAPI, "a@api.example.com", "/", false, "", ""},
		{"a host in a field", notAPI, "www.example.com", "/", false, "X-Forwarded-Host", "a.example, API.example.com:443"},
		{"another host in a field", notAPI, "www.example.com", "/", true, "X-Forwarded-Host", "a.example"},
		{"a doubtful host in a field", notAPI, "www.example.com", "/", false, "X-Host", "a@b"},
		{"too many hosts", notAPI, "www.example.com", "/", false, "X-Host", strings.Join(strings.Split("abcdefghijklmnopq", ""), ",")},
		{"a host in Forwarded", notAPI, "www.example.com", "/", false, "Forwarded", "for=192.0.2.1;host=api.example.com"},
		{"host and path", notAPILogin, "API.example.com", "/Login", false, "", ""},
		{"host and another path", notAPILogin, "API.example.com", "/Other", true, "", ""},
		{"a file", static, "", "/static/App.min.js", true, "", ""},
		{"a directory", static, "", "/static/a/", true, "", ""},
		{"a script among files", static, "", "/static/a.php/login", false, "", ""},
		{"files of another host", staticNotAPI, "API.example.com", "/static/App.js", false, "", ""},
		{"files of this host", staticNotAPI, "www.example.com:80", "/static/App.js", true, "", ""},
		{"the file of a directory among files", static, "", "/static/a/index.html", true, "", ""},
		{"one file", robots, "", "/robots.txt", true, "", ""},
		{"another file", robots, "", "/ROBOTS.txt", false, "", ""},
		{"an extension that is free", styles, "", "/Site.css", true, "", ""},
		{"letters and a slash that are free", upper, "", "/Status/", true, "", ""},
		{"a host that is free", cdn, "CDN.example.com:8080", "/A.b", true, "", ""},
		{"a host that is free, and another", cdn, "CDN.example.com:8080", "/", false, "X-Forwarded-Host", "www.example.com"},
	} {
		r := httptest.NewRequest(http.MethodGet, row.path, nil)
		if row.host != "" {
			r.Host = row.host
		}
		if row.field != "" {
			r.Header[http.CanonicalHeaderKey(row.field)] = []string{row.text}
		}
		assert.Equal(t, row.free, Every(r, row.f), "%s: %s%s", row.name, row.host, row.path)
	}
}

// Every calls a function once for a plain request, and once for each other reading.
func TestEveryAsksOnce(t *testing.T) {
	for target, want := range map[string][]string{
		"/a":      {"example.com/a"},
		"/a.json": {"example.com/a.json", "example.com/a"},
		"/A":      {"example.com/A", "example.com/a"},
		"/a/":     {"example.com/a/", "example.com/a"},
		"/a%2Fb.c": {
			"example.com/a/b.c", "example.com/a/b.c", "example.com/a/b", "example.com/a%2Fb.c",
			"example.com/a%2fb.c", "example.com/a%2Fb", "example.com/a%2fb",
		},
	} {
		var got []string
		Every(httptest.NewRequest(http.MethodGet, target, nil), func(r *http.Request) bool {
			got = append(got, r.Host+r.URL.Path)
			return true
		})
		assert.ElementsMatch(t, want, got, target)
	}
}

// A route whose pattern ends in a slash is met without the slash too, if another pattern takes the
// path then. A ServeMux redirects all other such requests.
func TestSlashThatIsMissing(t *testing.T) {
	for _, row := range []struct {
		patterns    []string
		target      string
		value       string
		others      []string
		description string
	}{
		{[]string{"POST /login/", "/{page}"}, "/login", "/{page}", []string{"POST /login/"}, "a wildcard takes it"},
		{[]string{"/{page}", "POST /login/{$}"}, "/login", "/{page}", []string{"POST /login/{$}"}, "only the slash"},
		{[]string{"POST /login/", "/{page}"}, "/LOGIN", "/{page}", []string{"POST /login/"}, "in upper case"},
		{[]string{"POST /login/", "/{page}"}, "/login.json", "/{page}", []string{"POST /login/"}, "with an extension"},
		{[]string{"POST /login/", "/{page}"}, "/login;a", "/{page}", []string{"POST /login/"}, "with a parameter"},
		{[]string{"POST /login/", "/{page}"}, "/other", "/{page}", nil, "another page"},
		{[]string{"/login", "/login/"}, "/login", "/login", []string{"/login/"}, "both are patterns"},
		{[]string{"/item/{id}/{$}", "/item/{id}"}, "/item/5", "/item/{id}", []string{"/item/{id}/{$}"}, "a wildcard with a slash"},
		{[]string{"POST /login/", "/"}, "/login", "POST /login/", nil, "it is redirected"},
		{[]string{"/a/login/", "/{x...}"}, "/a/login", "/a/login/", nil, "a wildcard takes the rest"},
		{[]string{"/a/login/", "/b/{x}"}, "/b/login", "/b/{x}", nil, "elsewhere"},
	} {
		var table Table[string]
		for _, p := range row.patterns {
			assert.NoError(t, table.Add(p, p))
		}
		m := table.Find(httptest.NewRequest(http.MethodPost, row.target, nil))
		assert.Equal(t, row.value, m.Value, row.description)
		assert.Equal(t, row.others, m.Others, row.description)
	}
}

// A parser of URLs finds a host at the beginning of a path.
func TestHostInPath(t *testing.T) {
	var table Table[string]
	for _, p := range []string{"api.example.com/login", "/static/"} {
		require.NoError(t, table.Add(p, p))
	}
	for target, want := range map[string][]string{
		"//api.example.com/login":      {"api.example.com/login"},
		"///API.example.com:443/login": {"api.example.com/login"},
		"/%5Capi.example.com/login":    {"api.example.com/login"},
		"//u@api.example.com/login":    {"api.example.com/login"},
		"//b.example.com/login":        nil,
		"/api.example.com/login":       nil,
	} {
		u, err := url.ParseRequestURI(target)
		require.NoError(t, err)
		m := table.Find(&http.Request{Method: http.MethodGet, Host: "www.example.com", URL: u})
		assert.Equal(t, want, m.Others, target)
	}
}
