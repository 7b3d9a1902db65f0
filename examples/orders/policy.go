package main

import (
	"net/http"
	"net/netip"

	"github.com/ratelimit-go/ratelimit"
)

// newLimiter is all that the service does about abuse. The keys cost nothing: an address, a
// token's signature, a header, and never a query.
func newLimiter(signer *signer) (*ratelimit.Limiter, error) {
	var (
		limits  = ratelimit.MustParse
		address = ratelimit.ByRemoteIP()
		user    = ratelimit.ByUser(func(r *http.Request) string { id, _ := signer.identify(r); return id.name })
		client  = ratelimit.FirstOf(user, address)
		// Strangers share what is costly, so that a thousand addresses get no more than one.
		member = ratelimit.FirstOf(user, ratelimit.Constant("strangers"))
		all    = ratelimit.Constant("all")
		failed = ratelimit.ChargeStatus(http.StatusUnauthorized)
	)
	return ratelimit.New(ratelimit.Config{
		Rules: []ratelimit.Rule{
			{Name: "client", Limits: limits("20 per second; 600 per minute"), Key: client},
		},
		Routes: map[string][]ratelimit.Rule{
			"POST /login": {
				{Name: "login-account", Limits: limits(perAccount), Key: ratelimit.ByNamed("account", account), Charge: failed, Hidden: true},
				{Name: "login-address", Limits: limits(perAddress), Key: address, Charge: failed},
			},
			"/api/": {
				{Name: "work", Limits: limits("600 per minute burst 200"), Key: client, Cost: work},
				{Name: "costly", Limits: limits("12 per minute burst 1"), Key: member, Skip: cheap},
				{Name: "costly-total", Limits: limits("1 per second"), Key: all, Skip: cheap, Hidden: true},
			},
			"POST /webhooks": {
				{Name: "partner", Limits: limits("5 per second"), Key: client},
			},
			"/admin/": {
				// Others are answered 403, whatever they know.
				{Name: "office", Limits: limits("60 per minute"), Key: ratelimit.KeyFunc(office), Unidentified: ratelimit.RefuseUnidentified},
			},
		},
	})
}

const (
	perAccount = "5 per minute"
	perAddress = "20 per minute burst 5"
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

// office is the address of a client in the office, which nobody else has.
func office(r *http.Request) (ratelimit.Key, error) {
	address := ratelimit.ByRemoteIP()
	addr, err := address.Addr(r)
	if err == nil && !officeNetwork.Contains(addr) {
		err = ratelimit.ErrNoIdentity
	}
	return address.KeyOf(addr), err
}

var officeNetwork = netip.MustParsePrefix("127.8.0.0/16")
