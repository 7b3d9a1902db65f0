// Package scene is a service with a limiter and its page, for tests and for screenshots.
package scene

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"sync"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/dashboard"
	"github.com/ratelimit-go/ratelimit/login"
)

// A Scene is a service.
type Scene struct {
	Limiter *ratelimit.Limiter
	Guard   *login.Guard
	Page    *dashboard.Page
	Handler http.Handler // the service, without the page

	mu      sync.Mutex
	actions []dashboard.Action
}

// Actions returns what users have done on the page.
func (s *Scene) Actions() []dashboard.Action {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]dashboard.Action(nil), s.actions...)
}

func (s *Scene) audit(a dashboard.Action) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.actions = append(s.actions, a)
}

// user is the user of a request. A real service looks into the session.
func user(r *http.Request) string { return r.Header.Get("User") }

// Rules returns the rules of the service.
func rules() ([]ratelimit.Rule, map[string][]ratelimit.Rule) {
	pro := ratelimit.MustParse("1200 per minute burst 300")
	everywhere := []ratelimit.Rule{
		{
			Name: "per-client", Limits: ratelimit.MustParse("600 per minute burst 200"),
			Block: &ratelimit.Block{After: ratelimit.Per(400, 60e9), For: 600e9},
		},
		{
			Name: "per-user", Key: ratelimit.ByUser(user), OnMissingKey: ratelimit.SkipRule,
			Limits: ratelimit.MustParse("120 per minute burst 60; 20000 per day"),
			LimitsFor: func(_ context.Context, k ratelimit.Key) ratelimit.Limits {
				if strings.HasPrefix(k.String(), "user:pro-") {
					return pro
				}
				return nil
			},
		},
		{
			Name: "api-keys", Key: ratelimit.ByHeader("X-API-Key"), OnMissingKey: ratelimit.SkipRule,
			Limits: ratelimit.MustParse("3000 per hour burst 100"),
		},
	}
	routes := map[string][]ratelimit.Rule{
		"GET /search": {{
			Name: "search", Key: ratelimit.FirstOf(ratelimit.ByUser(user), ratelimit.ByClientIP()),
			Limits: ratelimit.MustParse("40 per hour burst 10"),
		}},
		"POST /export": {{
			Name: "export", Limits: ratelimit.MustParse("30 per hour"),
			Key: ratelimit.ByUser(user), InFlight: 4,
		}},
		"POST /uploads": {{
			Name: "uploads-2027", Limits: ratelimit.MustParse("20 per minute burst 5"),
			Key: ratelimit.ByUser(user), Mode: ratelimit.DryRun,
		}},
		"POST /webhooks": {{
			Name: "webhooks", Limits: ratelimit.MustParse("300 per minute"),
			Key: ratelimit.ByHeader("X-API-Key"), Mode: ratelimit.EnforcePercent(50),
		}},
		"POST /orders": {{
			Name: "checkout", Limits: ratelimit.MustParse("50 per second"), Key: ratelimit.Global("checkout"),
		}},
		"GET /reports": {{Name: "reports", Limits: ratelimit.MustParse("10 per hour"), Mode: ratelimit.Off}},
	}
	return everywhere, routes
}

// New returns a service whose page lets everybody see it and support@example.com act.
func New() (*Scene, error) {
	s := new(Scene)
	everywhere, routes := rules()
	var err error
	if s.Limiter, err = ratelimit.New(ratelimit.Config{Rules: everywhere, Routes: routes}); err != nil {
		return nil, err
	}
	s.Guard, err = login.New(s.Limiter, login.Config{Account: login.FormField("email")})
	if err != nil {
		return nil, err
	}
	s.Page, err = dashboard.New(s.Limiter, dashboard.Config{
		Title:     "Orders",
		Authorize: func(*http.Request) bool { return true },
		MayAct:    func(*http.Request) bool { return true },
		Who:       func(*http.Request) string { return "support@example.com" },
		Audit:     func(_ context.Context, a dashboard.Action) { s.audit(a) },
		Logins:    map[string]*login.Guard{"web": s.Guard},
	})
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.Handle("POST /login", s.Guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
	})))
	s.Handler = s.Limiter.Handler(mux)
	return s, err
}

// Addr returns the address with the number n of a documentation network (RFC 5737).
func Addr(n int) netip.Addr { return netip.AddrFrom4([4]byte{198, 51, 100, byte(n)}) }
