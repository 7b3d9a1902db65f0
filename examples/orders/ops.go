package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/ratelimit-go/ratelimit/dashboard"
	"github.com/ratelimit-go/ratelimit/login"
	"github.com/ratelimit-go/ratelimit/metrics/promlimit"
)

const pagePath = "/debug/limits/"

// operations returns what the operators of the service see: the live page, metrics, counters and
// signals. It has an address of its own, outside of the limiter, so an attack on the API cannot
// keep operators out. The caller calls stop at the end.
func operations(counts *counters, d *defence) (h http.Handler, stop func(), err error) {
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", asJSON(counts.read))
	if d == nil {
		return mux, func() {}, nil
	}
	page, err := dashboard.New(d.limiter, dashboard.Config{
		Title:     "Orders",
		Authorize: isAdmin,
		MayAct:    isAdmin,
		Who:       func(*http.Request) string { return adminName },
		Logins:    map[string]*login.Guard{"API": d.guard},
	})
	if err != nil {
		return nil, nil, err
	}
	registry := prometheus.NewRegistry()
	if err := registry.Register(promlimit.Collector(d.limiter)); err != nil {
		return nil, nil, err
	}
	mux.Handle(pagePath, requireAdmin(page))
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	samples := newSampler(d.limiter.Stats)
	mux.Handle("GET /signals", asJSON(samples.read))
	return mux, func() { page.Close(); samples.stop() }, nil
}

func asJSON[T any](read func() T) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { reply(w, read()) })
}

// requireAdmin asks for the password of the administrator.
func requireAdmin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isAdmin(r) {
			w.Header().Set("WWW-Authenticate", `Basic realm="limits"`)
			fail(w, http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isAdmin reports whether the administrator has sent r. It needs no query and no slow hash: when an
// attack has brought the database down, the page must still open.
func isAdmin(r *http.Request) bool {
	name, password, _ := r.BasicAuth()
	got, want := sha256.Sum256([]byte(name+":"+password)), sha256.Sum256([]byte(adminName+":"+adminPassword))
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1
}
