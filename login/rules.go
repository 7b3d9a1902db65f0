package login

import (
	"errors"
	"net/http"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/clientip"
)

// limitsOf has the field of [Config] in which each rule of a [Guard] finds its Limits.
var limitsOf = [...]string{
	"Remember", "PerPair", "PerAccount", "PerAddress", "PerNetwork", "Total", "NewPairs",
}

// rules returns the rules of g, in the order of limitsOf. The pair comes before the other rules
// that deny requests. So the response names it if several rules deny for equally long, and the
// store is not called about a pair that is blocked.
//
// Responses show the limit of the pair only. If they showed another limit that known pairs do not
// have, a client could find out which accounts were used from its address.
func (g *Guard) rules(cfg *settings) []ratelimit.Rule {
	total := totalKey(cfg)
	failed := func(res ratelimit.Response) bool {
		a := attemptOf(res.Request)
		a.settled = true
		failed := a.failed(cfg, res)
		if failed {
			a.note(&g.recent)
		}
		return failed
	}
	rules := []ratelimit.Rule{
		{ // Its Key reports what goes wrong when a request is read, and what the watch has found.
			Name: cfg.known(), Limits: ratelimit.Limits{{Count: 1, Period: cfg.Remember}},
			Key: ratelimit.KeyFunc(problems),
		},
		{
			Name: cfg.pair(), Limits: cfg.PerPair, Block: cfg.Block,
			Key: keyOf(func(a *attempt) ratelimit.Key { return a.pair }), Skip: isNone,
		},
		{
			Name: cfg.account(), Limits: cfg.PerAccount,
			Key: keyOf(func(a *attempt) ratelimit.Key { return a.account }), Skip: isSpared,
		},
		{
			Name: cfg.address(), Limits: cfg.PerAddress, Skip: isKnown,
			Key: addressKey{keyOf(func(a *attempt) ratelimit.Key { return a.where.address }), g.source(cfg)},
		},
		{
			Name: cfg.network(), Limits: cfg.PerNetwork,
			Key: keyOf(func(a *attempt) ratelimit.Key { return a.where.network }), Skip: isKnown,
		},
		{
			Name: cfg.total(), Limits: cfg.Total,
			Key: keyOf(func(*attempt) ratelimit.Key { return total }), Skip: isKnown,
		},
		{Name: cfg.fresh(), Limits: cfg.NewPairs, Key: ratelimit.KeyFunc(noKey)},
	}
	for i := range rules {
		r := &rules[i]
		r.Mode, r.OnStoreFailure, r.OnMissingKey = cfg.Mode, cfg.OnStoreFailure, ratelimit.SkipRule
		r.OmitHeaders = r.Name != cfg.pair()
		switch r.Name {
		case cfg.known(), cfg.fresh(): // they apply to no request, and deny none
			if r.Mode != ratelimit.Off {
				r.Mode = ratelimit.Enforce
			}
			continue
		case cfg.address(), cfg.network():
			r.OnMissingKey = ratelimit.ShareKey
		}
		r.CountOnly = failed
	}
	return rules
}

// totalKey returns the key of the rule NAME-total.
func totalKey(cfg *settings) ratelimit.Key { return ratelimit.ValueKey("global", cfg.Name) }

// keyOf returns a Keyer that reads the request and returns one of its keys.
func keyOf(key func(*attempt) ratelimit.Key) ratelimit.Keyer {
	return ratelimit.KeyFunc(func(r *http.Request) (ratelimit.Key, error) {
		return key(attemptOf(r).read(r)), nil
	})
}

// addressKey is the key of an address. By its method ClientIP the limiter knows how addresses are
// found, and reports it if all clients seem to have one address.
type addressKey struct {
	ratelimit.Keyer
	source clientip.Source
}

func (k addressKey) ClientIP() clientip.Source { return k.source }

func noKey(*http.Request) (ratelimit.Key, error) { return ratelimit.Key{}, nil }

// problems returns no key, and what went wrong when r was read or before. The limiter reports it.
func problems(r *http.Request) (ratelimit.Key, error) {
	a := attemptOf(r).read(r)
	return ratelimit.Key{}, errors.Join(a.err, a.cfg.watch.problems(&a.cfg.Config))
}

// isNone reports whether r is no attempt, so that no limit applies to it.
func isNone(r *http.Request) bool { return attemptOf(r).none }

// isKnown reports whether the pair of r is known, so that only its own limit applies to r.
func isKnown(r *http.Request) bool {
	a := attemptOf(r).read(r)
	return a.none || a.isKnown(r.Context(), a.guard, a.cfg)
}

// isSpared reports whether the limit of the account does not apply to r: the pair is known, or the
// account is missing because Account cannot find any.
func isSpared(r *http.Request) bool {
	return isKnown(r) || !attemptOf(r).named && attemptOf(r).cfg.watch.findsNoAccounts()
}
