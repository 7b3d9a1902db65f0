package main

import (
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/login"
	"github.com/ratelimit-go/ratelimit/shed"
)

// The limits on failed logins. Only the first applies to a user who logs in from an address from
// which the same account was used before.
const (
	perPair    = "5 per 15 minutes"
	perAccount = "20 per hour burst 5"
	perAddress = "50 per hour burst 5"
	perService = "30 per minute burst 15"
)

const officeNetwork = "127.8.0.0/16"

var (
	limits  = ratelimit.MustParse
	address = ratelimit.ByClientIP()
	all     = ratelimit.Global("all")
)

// defence is the service behind its limits.
type defence struct {
	handler http.Handler
	limiter *ratelimit.Limiter
	guard   *login.Guard
}

// protect returns the service behind its limits. This file is everything that the service does
// against abuse. All rules have the given mode. If that is DryRun, no request is denied.
func protect(s *service, mode ratelimit.Mode) (*defence, error) {
	limiter, err := newLimiter(s.signer, mode)
	if err != nil {
		return nil, err
	}
	guard, err := login.New(limiter, login.Config{
		Account:    login.JSONField("name"),
		Succeeded:  ratelimit.StatusIn(http.StatusOK),
		PerPair:    limits(perPair),
		PerAccount: limits(perAccount),
		PerAddress: limits(perAddress),
		Total:      limits(perService),
		Mode:       mode,
	})
	if err != nil {
		return nil, err
	}
	// Checking a password takes a processor 16 ms. At this pace the checks follow one another, so
	// they never occupy more than one processor.
	pace := limiter.With(ratelimit.Rule{
		Name: "passwords", Limits: limits("60 per second burst 2"), Key: all,
		MaxWait: 2 * time.Second, OmitHeaders: true, Mode: mode,
	})
	routes := s.routes(func(login http.Handler) http.Handler { return guard.Handler(pace(login)) })
	if mode == ratelimit.DryRun { // a shedder has no dry run
		return &defence{limiter.Handler(routes), limiter, guard}, nil
	}
	// Many clients together can be too much for the service although each keeps its limits.
	shedder, err := shed.New(shed.Config{
		MaxInFlight: 256, MinInFlight: 128, TargetLatency: 2 * time.Second, Priority: priority,
	})
	if err != nil {
		return nil, err
	}
	return &defence{limiter.Handler(shedder.Handler(routes)), limiter, guard}, nil
}

// newLimiter returns the limiter with its rules. Its keys need no query: they are addresses, or
// names of users that the signature of a token proves.
func newLimiter(s *signer, mode ratelimit.Mode) (*ratelimit.Limiter, error) {
	office := new(ratelimit.List)
	if err := office.Replace([]string{officeNetwork}); err != nil {
		return nil, err
	}
	user := ratelimit.ByUser(s.userOf)
	client := ratelimit.FirstOf(user, address)
	// A client that keeps exceeding a limit is blocked: for a minute, then for two, up to an hour.
	block := &ratelimit.Block{After: ratelimit.Per(100, time.Minute)}
	cfg := ratelimit.Config{
		Rules: []ratelimit.Rule{{
			Name: "client", Limits: limits("20 per second; 600 per minute"), Key: client,
			InFlight: 20, Block: block,
		}},
		Routes: map[string][]ratelimit.Rule{
			"/api/": {
				{
					Name: "work", Limits: limits("600 per minute burst 200"), Key: client, Cost: work,
					Block: block,
				},
				{
					// All strangers share one bucket, so a thousand addresses get as much as one.
					Name: "costly", Limits: limits("12 per minute burst 1"),
					Key: ratelimit.FirstOf(user, ratelimit.Global("strangers")), Skip: cheap,
				},
				{Name: "costly-at-once", Key: all, Skip: cheap, InFlight: 1},
			},
			// The limiter holds up to 20 payments for up to 2 seconds instead of denying them. The
			// database has only one writer anyway.
			"POST /webhooks": {{
				Name: "partner", Limits: limits("20 per second burst 2"), Key: client,
				MaxWait: 2 * time.Second, MaxWaiting: 20, Block: block,
			}},
			// Outside the office a request has no key, so the answer is 403.
			"/admin/": {{
				Name: "office", Limits: limits("60 per minute"),
				Key: ratelimit.AllOf(inOffice(office), address), OnMissingKey: ratelimit.DenyRequest,
			}},
		},
	}
	for _, rules := range append(slices.Collect(maps.Values(cfg.Routes)), cfg.Rules) {
		for i := range rules {
			rules[i].Mode = mode
		}
	}
	return ratelimit.New(cfg)
}

// work returns the cost of a request: about how many milliseconds of the database it takes.
func work(r *http.Request) int64 {
	cost := int64(1 + perPage(r)/50)
	if r.URL.Query().Get("q") != "" {
		cost += 5
	}
	if popular(r) {
		cost += 80
	}
	return cost
}

// cheap reports whether a request costs as little as the usual requests of honest clients.
func cheap(r *http.Request) bool { return work(r) <= 10 }

// priority makes the shedder deny costly queries first, and logins and payments last.
func priority(r *http.Request) shed.Priority {
	switch {
	case r.Method == http.MethodPost:
		return shed.Critical
	case cheap(r):
		return shed.Normal
	}
	return shed.Sheddable
}

// inOffice returns a Keyer that finds a key only in requests of clients on the list.
func inOffice(office *ratelimit.List) ratelimit.Keyer {
	return ratelimit.ByValue("place", func(r *http.Request) string {
		if office.Contains(r) {
			return "office"
		}
		return ""
	})
}
