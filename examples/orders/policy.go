package main

import (
	"net/http"
	"time"

	"github.com/ratelimit-go/ratelimit"
)

// protect returns the service behind its limits: all that it does about abuse. Whom a request
// is counted for is known without a query: an address, or the signature of a token.
func protect(s *service) (http.Handler, error) {
	var (
		limits  = ratelimit.MustParse
		address = ratelimit.ByRemoteIP()
		user    = ratelimit.ByUser(s.signer.userOf)
		client  = ratelimit.FirstOf(user, address)
		all     = ratelimit.Constant("all")
		// Strangers share what is costly, so that a thousand addresses get no more than one.
		member = ratelimit.FirstOf(user, ratelimit.Constant("strangers"))
	)
	office := new(ratelimit.List)
	if err := office.Replace([]string{officeNetwork}); err != nil {
		return nil, err
	}
	// Who goes on and on is blocked: for a minute, then for two, up to an hour.
	again := &ratelimit.Penalty{After: ratelimit.PerMinute(100)}
	limiter, err := ratelimit.New(ratelimit.Config{
		Rules: []ratelimit.Rule{
			{Name: "client", Limits: limits("20 per second; 600 per minute"), Key: client, InFlight: 20, Penalty: again},
		},
		Routes: map[string][]ratelimit.Rule{
			"/api/": {
				{Name: "work", Limits: limits("600 per minute burst 200"), Key: client, Cost: work, Penalty: again},
				{Name: "costly", Limits: limits("12 per minute burst 1"), Key: member, Skip: cheap},
				{Name: "costly-at-once", Key: all, Skip: cheap, InFlight: 1},
			},
			"POST /webhooks": {
				// A payment is held and not refused, within reason; one at a time may write anyway.
				{Name: "partner", Limits: limits("20 per second burst 2"), Key: client, MaxWait: 2 * time.Second, MaxWaiting: 20, Penalty: again},
			},
			"/admin/": {
				// Who is elsewhere has no identity here, and is answered 403.
				{Name: "office", Limits: limits("60 per minute"), Key: within(office, address), Unidentified: ratelimit.RefuseUnidentified},
			},
		},
	})
	if err != nil {
		return nil, err
	}
	guard := limiter.Login(ratelimit.Login{
		Account:    ratelimit.JSONField("name"),
		PerPair:    limits(perPair),
		PerAccount: limits(perAccount),
		PerAddress: limits(perAddress),
		Total:      limits(perService),
	})
	// A password costs 16 ms of a processor. Those that the guard lets through are checked one
	// after the other, so that they never take more than one.
	pace := limiter.With(ratelimit.Rule{
		Name: "passwords", Limits: limits("60 per second burst 2"), Key: all, MaxWait: 2 * time.Second, Hidden: true,
	})
	// What no limit foresees: many clients, none of whom does too much.
	shedder, err := ratelimit.NewShedder(ratelimit.ShedConfig{
		MaxInFlight: 256, MinInFlight: 128, TargetLatency: 2 * time.Second, Priority: priority,
	})
	if err != nil {
		return nil, err
	}
	routes := s.routes(func(login http.Handler) http.Handler { return guard(pace(login)) })
	return limiter.Handler(shedder.Handler(routes)), nil
}

// The failed logins of a pair of account and address, and so on. Those who log in from where they have
// before are held to the first only.
const (
	perPair    = "5 per 15 minutes"
	perAccount = "20 per hour burst 5"
	perAddress = "50 per hour burst 5"
	perService = "30 per minute burst 15"
)

// work is about how many milliseconds of the database a request costs.
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

// cheap reports whether a request is one of those that people make.
func cheap(r *http.Request) bool { return work(r) <= 10 }

// priority is what the service would rather do without: costly queries first, and logins and
// payments last.
func priority(r *http.Request) ratelimit.Priority {
	switch {
	case r.Method == http.MethodPost:
		return ratelimit.Critical
	case cheap(r):
		return ratelimit.Normal
	}
	return ratelimit.Sheddable
}

// within is the identity of those who are on the list, and no other.
func within(list *ratelimit.List, key ratelimit.Keyer) ratelimit.Keyer {
	return ratelimit.KeyFunc(func(r *http.Request) (ratelimit.Key, error) {
		if !list.Contains(r) {
			return ratelimit.Key{}, ratelimit.ErrNoIdentity
		}
		return key.Key(r)
	})
}

const officeNetwork = "127.8.0.0/16"
