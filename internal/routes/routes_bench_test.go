package routes

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// BenchmarkFind compares a plain request, which is looked up once, with the mux alone, and with the
// most expensive doubtful requests that were found.
func BenchmarkFind(b *testing.B) {
	var table Table[int]
	for i, p := range []string{"GET /items/{id}", "POST /login", "/static/", "DELETE /items/{id}"} {
		if err := table.Add(p, i); err != nil {
			b.Fatal(err)
		}
	}
	bench := func(name, target string, find func(r *http.Request)) {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequest(http.MethodGet, target, nil)
			r.Header = http.Header{
				"User-Agent": {"x"}, "Accept": {"*/*"}, "Accept-Encoding": {"gzip"}, "Cookie": {"a=b"},
				"X-Forwarded-For": {"192.0.2.1"}, "Accept-Language": {"en"}, "Referer": {"x"}, "Origin": {"x"},
			}
			b.ReportAllocs()
			for b.Loop() {
				find(r)
			}
		})
	}
	found := func(r *http.Request) { _ = table.Find(r) }
	bench("mux", "/items/12345", func(r *http.Request) { _, _ = table.mux.Handler(r) })
	bench("plain", "/items/12345", found)
	bench("file", "/static/app.3f2a.js", found)
	bench("upper", "/items/ABC", found)
	bench("encoded", "/items/a%2fb", found)
	bench("many", "/x%5c;a%3f%23/%2e%2e./%c0%aflogin%20", found)
	bench("long", "/"+strings.Repeat("a%5c..%2f", 200), found)
	bench("long-mux", "/"+strings.Repeat("a%5c..%2f", 200), func(r *http.Request) { _, _ = table.mux.Handler(r) })
	bench("longest-mux", "/"+strings.Repeat("%25", 20_000), func(r *http.Request) { _, _ = table.mux.Handler(r) })
	bench("longest", "/"+strings.Repeat("%25", 20_000), found)
}
