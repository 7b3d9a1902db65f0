package routes

import (
	"math/rand/v2"
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/internal/testsize"
)

// eachSegment returns p with each of its segments changed by f.
func eachSegment(p string, f func(string) string) string {
	segments := strings.Split(p, "/")
	for i := range segments {
		segments[i] = f(segments[i])
	}
	return strings.Join(segments, "/")
}

func cutAt(sep string) func(string) string {
	return func(p string) string { p, _, _ = strings.Cut(p, sep); return p }
}

// What servers do with a path, before and after they resolve its dots.
var beforeClean, afterClean = []func(string) string{
	func(p string) string { return eachSegment(p, cutAt(";")) },
	func(p string) string { return strings.ReplaceAll(p, `\`, "/") },
	cutAt("\x00"), cutAt("?"), cutAt("#"),
	func(p string) string { // as url.Parse, urlsplit and parse_url do
		if strings.HasPrefix(p, "//") && strings.Trim(p, "/") != "" {
			_, rest, _ := strings.Cut(p[2:], "/")
			return "/" + rest
		}
		return p
	},
	func(p string) string { // as new URL does
		if strings.HasPrefix(p, "//") {
			_, rest, _ := strings.Cut(strings.TrimLeft(p, "/"), "/")
			return "/" + rest
		}
		return p
	},
	func(p string) string { return strings.ReplaceAll(strings.ReplaceAll(p, "\t", ""), "\x00", "") },
}, []func(string) string{
	func(p string) string { // what stands behind a script
		if i := strings.Index(strings.ToLower(p), "x.php/"); i >= 0 {
			return p[i+5:]
		}
		return p
	},
	func(p string) string {
		return path.Clean(eachSegment(p, func(s string) string {
			if s = strings.Trim(s, " "); s == "." || s == ".." {
				return s
			}
			return strings.TrimRight(s, ". ")
		}))
	},
	func(p string) string { return withoutLast(p, strings.IndexByte) },
	func(p string) string { return withoutLast(p, strings.LastIndexByte) },
	func(p string) string { // the file of a directory
		dir, file := path.Split(p)
		if file == "index.php" {
			return dir
		}
		return p
	},
	strings.ToLower,
	func(p string) string { return "/" + strings.Trim(p, "/") },
}

// withoutLast returns p without an extension.
func withoutLast(p string, index func(string, byte) int) string {
	dir, file := path.Split(p)
	if i := index(file, '.'); i > 0 && strings.Trim(file[:i], " .") != "" {
		file = file[:i]
	}
	return dir + file
}

// Servers are modeled by a few steps in any order. If one reads any path as /login, the table does,
// too, and so does Every.
func TestPathsAsAnyServerReadsThem(t *testing.T) {
	var table Table[string]
	for _, p := range []string{"POST /login", "/static/", "/{$}", "/{page}"} {
		require.NoError(t, table.Add(p, p))
	}
	words := strings.Fields(`/ / / static .. . %2e %2f %5c \ ;x ; login login LOGIN log in .json x.php index.php
		%25 25 2e 2f %00 %20 %3b %3f %23 %09 %6c ogin`)
	rng := rand.New(rand.NewPCG(1, 2))
	some := func(list []func(string) string, p string) string {
		for range rng.IntN(4) {
			p = list[rng.IntN(len(list))](p)
		}
		return p
	}
	logins := 0
	for range testsize.Of(200_000, 20_000) {
		sent := []string{"/", "/static/"}[rng.IntN(2)]
		for range 1 + rng.IntN(6) {
			sent += words[rng.IntN(len(words))]
		}
		u, err := url.ParseRequestURI(sent)
		if err != nil {
			continue
		}
		p := sent
		for range rng.IntN(3) {
			p = decoded(p)
		}
		p = some(beforeClean, p)
		slash := strings.HasSuffix(p, "/")
		if p = path.Clean(p); slash {
			p += "/"
		}
		if some(afterClean, p) != "/login" {
			continue
		}
		logins++
		r := &http.Request{Method: http.MethodPost, Host: "a.example", URL: u}
		m := table.Find(r)
		require.Contains(t, append(m.Others, m.Value), "POST /login", "%q", sent)
		free := Every(r, func(r *http.Request) bool { return r.URL.Path != "/login" })
		require.False(t, free, "%q", sent)
	}
	require.Greater(t, logins, 100)
}
