package replay

import (
	"fmt"
	"math/big"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/clientip"
)

// adapt changes a Config so that a replay of it decides as the service would, without waiting.
func (e *Engine) adapt(cfg ratelimit.Config) ratelimit.Config {
	cfg.Clock = func() time.Time { return e.now }
	cfg.Headers, cfg.MergeHeaders, cfg.SharedCache = ratelimit.NoHeaders, false, false
	cfg.DenyHandler = func(w http.ResponseWriter, _ *http.Request, d ratelimit.Decision) {
		w.WriteHeader(d.Status())
	}
	cfg.Hooks = ratelimit.Hooks{
		Decided: e.decided, DryRun: e.dryRun, Denied: e.denied,
		Blocked: e.blocked, Error: e.failed,
	}
	if e.opts.ClientFromLog {
		cfg.ClientIP = fromPeer(cfg.ClientIP)
	}
	cfg.Rules = e.adaptRules(cfg.Rules)
	routes := make(map[string][]ratelimit.Rule, len(cfg.Routes))
	for pattern, rules := range cfg.Routes {
		routes[pattern] = e.adaptRules(rules)
	}
	cfg.Routes = routes
	return cfg
}

// fromPeer returns the source of the peer's address, with the prefixes of src.
func fromPeer(src clientip.Source) clientip.Source {
	bits := src.Prefix(netip.IPv6LinkLocalAllNodes()).Bits()
	return clientip.Remote().IPv6Prefix(bits)
}

func (e *Engine) adaptRules(rules []ratelimit.Rule) []ratelimit.Rule {
	rules = slices.Clone(rules)
	for i := range rules {
		r := &rules[i]
		e.hold = e.hold || r.InFlight > 0 || r.CountOnly != nil || r.ResponseCost != nil ||
			r.Block != nil && r.Block.When != nil
		if e.opts.Enforce && r.Mode != ratelimit.Off {
			r.Mode = ratelimit.Enforce
		}
		if r.ResponseCost != nil {
			e.note(fmt.Sprintf(
				"rule %q: logs have no response fields, so response_cost charges what is reserved.", r.Name))
		}
		if r.MaxWait > 0 {
			r.Limits = waiting(r.Limits, r.MaxWait)
			e.note(fmt.Sprintf(
				"rule %q: a replay does not wait. It counts as allowed what max_wait would hold.", r.Name))
			r.MaxWait, r.MaxWaiting = 0, 0
		}
	}
	return rules
}

// waiting returns limits that allow at once what the given limits allow within wait. A bucket that
// may be overdrawn by the tokens of wait is a bucket that holds so many tokens more.
func waiting(limits ratelimit.Limits, wait time.Duration) ratelimit.Limits {
	limits = slices.Clone(limits)
	for i := range limits {
		l := &limits[i]
		if l.Rate() == rate.Inf || l.Period <= 0 {
			continue
		}
		if l.Burst == 0 {
			l.Burst = l.Count
		}
		tokens := new(big.Int).Mul(big.NewInt(l.Count), big.NewInt(int64(wait)))
		l.Burst += tokens.Div(tokens, big.NewInt(int64(l.Period))).Int64()
	}
	return limits
}
