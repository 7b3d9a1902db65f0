package routes

import (
	"net/http"
	"net/url"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A target without a slash behind its scheme has no path for net/http. A proxy passes on what
// follows the scheme, and the server behind it finds a path there.
func TestTargetsWithoutAPath(t *testing.T) {
	var table Table[string]
	for _, p := range []string{"POST api.example.com/login", "/static/", "/{$}"} {
		require.NoError(t, table.Add(p, p))
	}
	for _, target := range []string{"x:http://api.example.com/login", "http:login", "x:%2flogin", "x:y//b/login"} {
		u, err := url.ParseRequestURI(target)
		require.NoError(t, err)
		for _, path := range []string{"", "/static/a"} { // a handler may have set one
			u.Path = path
			r := &http.Request{Method: http.MethodPost, Host: "www.example.com", URL: u}
			m := table.Find(r)
			assert.True(t, !m.Exact && m.Missed, target)
			assert.Len(t, m.Others, 3, target)
			assert.False(t, Every(r, func(*http.Request) bool { return true }), target)
		}
	}
}

// Servers of Python take the beginning of a path from a field, and look up the rest.
func TestBeginningOfAPathInAField(t *testing.T) {
	var table Table[string]
	for _, p := range []string{"POST /login", "/static/"} {
		require.NoError(t, table.Add(p, p))
	}
	for _, row := range []struct {
		target, field, text string
		login               bool
	}{
		{"/static/login", "SCRIPT_NAME", "/static", true},
		{"/static/login", "X-Script-Name", "/static", true},
		{"/static/login", "X_SCRIPT_NAME", "/static/", true},
		{"/static/xy/LOGIN", "SCRIPT_NAME", "c/xy", true}, // gunicorn finds it anywhere
		{"/static/%2e/lo%67in", "SCRIPT_NAME", "/static/%2e", true},
		{"/static%22/login", "SCRIPT_NAME", "/static%22", true},
		{`/static"/login`, "SCRIPT_NAME", "/static%22", true}, // a proxy encodes it
		{"/static/a%20b/login", "X-Script-Name", "/static/a b", true},
		{"/static/login", "SCRIPT_NAME", "/other", false},
		{"/static/login", "SCRIPT_NAME", "", false},
	} {
		u, err := url.ParseRequestURI(row.target)
		require.NoError(t, err)
		field := http.Header{http.CanonicalHeaderKey(row.field): {row.text}}
		r := &http.Request{Method: http.MethodPost, Host: "a.example", URL: u, Header: field}
		assert.Equal(t, row.login, slices.Contains(table.Find(r).Others, "POST /login"), row)
		free := Every(r, func(r *http.Request) bool { return r.URL.Path != "/login" })
		assert.Equal(t, row.login, !free, row)
	}
}

// A client may send any number of such fields.
func TestBeginningsAreBounded(t *testing.T) {
	var table Table[string]
	require.NoError(t, table.Add("POST /login", "login"))
	r, err := http.NewRequest(http.MethodPost, "/static/login", nil)
	require.NoError(t, err)
	r.Header["X-Script-Name"] = slices.Repeat([]string{"/other"}, 5_000)
	assert.Equal(t, []string{"login"}, table.Find(r).Others)
}

// A server answers the path of a directory with a file that is in it.
func TestFileThatIsMissing(t *testing.T) {
	var table Table[string]
	for _, p := range []string{"/Admin/index.php", "/default.aspx", "/a/", "/a/index/x.html", "/{page}"} {
		require.NoError(t, table.Add(p, p))
	}
	for target, want := range map[string][]string{
		"/admin/":      {"/{page}", "/Admin/index.php"},
		"/x/../Admin/": {"/{page}", "/Admin/index.php"},
		"/admin/.":     {"/{page}", "/Admin/index.php"},
		"/admin/x/..":  {"/{page}", "/Admin/index.php"},
		"/admin":       nil, // a server redirects it
		"/":            {"/default.aspx"},
		"/a/":          {"/{page}"},
		"/a/index/":    nil,
	} {
		u, err := url.ParseRequestURI(target)
		require.NoError(t, err)
		m := table.Find(&http.Request{Method: http.MethodGet, Host: "a.example", URL: u})
		for _, p := range want {
			assert.Contains(t, append(m.Others, m.Value), p, target)
		}
		found := slices.ContainsFunc(m.Others, func(p string) bool { return p == "/Admin/index.php" || p == "/default.aspx" })
		assert.Equal(t, slices.Contains(want, "/Admin/index.php") || slices.Contains(want, "/default.aspx"), found, target)
	}
}
