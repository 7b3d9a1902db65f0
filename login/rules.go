package login

import (
	"net/http"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/clientip"
)

// limitsOf has the field of [Config] in which each rule of a [Guard] finds its Limits.
var limitsOf = [...]string{"Remember", "PerPair", "PerAccount", "PerAddress", "Total"}

// rules returns the rules of g, in the order of limitsOf. The pair comes before the other rules
// that deny requests. So the response names it if several rules deny for equally long, and the
// store is not called about a pair that is blocked.
func (g *Guard) rules(cfg *Config) []ratelimit.Rule {
	failed, total := failedOf(cfg), totalKey(cfg)
	rules := []ratelimit.Rule{
		{ // It applies to no request. Its Key reports what goes wrong when a request is read.
			Name: cfg.known(), Limits: ratelimit.Limits{{Count: 1, Period: cfg.Remember}},
			Key: ratelimit.KeyFunc(readingError), OnMissingKey: ratelimit.SkipRule, OmitHeaders: true,
		},
		{
			Name: cfg.pair(), Limits: cfg.PerPair, Block: cfg.Block,
			Key:          keyOf(func(a *attempt) ratelimit.Key { return a.pair }),
			OnMissingKey: ratelimit.SkipRule, CountOnly: failed,
		},
		{
			Name: cfg.account(), Limits: cfg.PerAccount, Skip: isKnown,
			Key:          keyOf(func(a *attempt) ratelimit.Key { return a.account }),
			OnMissingKey: ratelimit.SkipRule, CountOnly: cfg.Failed, OmitHeaders: true,
		},
		{
			Name: cfg.address(), Limits: cfg.PerAddress, Skip: isKnown,
			Key:       addressKey{keyOf(func(a *attempt) ratelimit.Key { return a.address }), g.source(cfg)},
			CountOnly: failed,
		},
		{
			Name: cfg.total(), Limits: cfg.Total, Skip: isKnown,
			Key:       keyOf(func(*attempt) ratelimit.Key { return total }),
			CountOnly: cfg.Failed, OmitHeaders: true,
		},
	}
	for i := range rules {
		rules[i].Mode, rules[i].OnStoreFailure = cfg.Mode, cfg.OnStoreFailure
	}
	return rules
}

// totalKey returns the key of the rule NAME-total.
func totalKey(cfg *Config) ratelimit.Key { return ratelimit.ValueKey("global", cfg.Name) }

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

// readingError returns no key, and what went wrong when r was read. The limiter reports it.
func readingError(r *http.Request) (ratelimit.Key, error) {
	return ratelimit.Key{}, attemptOf(r).read(r).err
}

// isKnown reports whether the pair of r is known, so that only its own limit applies to r.
func isKnown(r *http.Request) bool {
	return attemptOf(r).read(r).isKnown(r.Context())
}

// failedOf returns a function that counts failures, and notes a success in the attempt. At least
// one of its rules applies to every attempt. If the client has left, there is no success: a
// handler that notices may return without a response, which looks like status 200.
func failedOf(cfg *Config) func(ratelimit.Response) bool {
	return func(res ratelimit.Response) bool {
		if cfg.Failed(res) {
			return true
		}
		attemptOf(res.Request).succeeded = res.Request.Context().Err() == nil && cfg.Succeeded(res)
		return false
	}
}
