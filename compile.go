package ratelimit

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/ratelimit-go/ratelimit/clientip"
	"github.com/ratelimit-go/ratelimit/internal/blocks"
	"github.com/ratelimit-go/ratelimit/internal/copied"
	"github.com/ratelimit-go/ratelimit/internal/inflight"
	"github.com/ratelimit-go/ratelimit/internal/key"
	"github.com/ratelimit-go/ratelimit/internal/keyer"
	"github.com/ratelimit-go/ratelimit/internal/labels"
	"github.com/ratelimit-go/ratelimit/internal/pace"
	"github.com/ratelimit-go/ratelimit/internal/report"
	"github.com/ratelimit-go/ratelimit/internal/respond"
	"github.com/ratelimit-go/ratelimit/internal/routes"
	"github.com/ratelimit-go/ratelimit/internal/tally"
	"github.com/ratelimit-go/ratelimit/internal/verdict"
)

// rule is a compiled Rule. Except for chosen, which caches, it is immutable.
type rule struct {
	Rule
	*counters
	info     verdict.Rule
	plan     *verdict.Plan   // of Limits
	mode     Mode            // Enforce, DryRun or Off
	percent  int             // of keys for which a DryRun is enforced: see EnforcePercent
	byClient bool            // Key is the client's address, found as Config.ClientIP says
	direct   bool            // Key calls no function of the user, so it cannot panic
	forAll   bool            // Key counts all clients together
	block    *blocks.Buckets // nil without a Block
	settles  bool            // the response decides what the request costs, or whether it is a violation
	use      copied.Use      // of its key, functions and response
	plain    bool            // it takes tokens in memory for every request, and does no more
	simple   bool            // Take needs only its buckets, which are few and in memory
	chosen   sync.Map        // text of limits to *verdict.Plan, for LimitsFor
	nchosen  atomic.Int32
}

// counters are what is counted under the name of a rule. They outlive the compiled rule.
type counters struct {
	meter  inflight.Meter
	tally  tally.Rule
	unseen atomic.Bool // a response that was not seen has been reported
}

// maxPlain is how many limits the fast ways decide: servePlain, one and wideAdmission.
const maxPlain = 3 // at most memory.MaxKnown

// maxChosen is how many limits a rule remembers for LimitsFor. It compiles others for each request.
const maxChosen = 1024

// compileRule compiles r, which has been checked, for a Limiter of cfg.
func compileRule(r Rule, cfg *Config, c *counters, table *labels.Table) *rule {
	compiled := &rule{counters: c, byClient: keyer.IsClientIP(r.Key, cfg.ClientIP)}
	r.Key = keyer.Labeled(keyer.Bind(r.Key, cfg.ClientIP), table)
	compiled.direct = r.Key == Keyer(keyer.Addr{}) || r.Key == Keyer(keyer.Addr{Source: clientip.Remote()})
	compiled.forAll = keyer.CountsAll(r.Key)
	compiled.mode, compiled.percent, _ = r.Mode.parse()
	r.Mode, r.MaxWaiting = cmp.Or(r.Mode, Enforce), cmp.Or(r.MaxWaiting, inflight.DefaultWaiting)
	compiled.Rule = r
	compiled.info = verdict.Rule{
		Name: r.Name, Mode: string(r.Mode), Quiet: r.OmitHeaders, MaxWait: r.MaxWait, Owner: compiled,
		OnFail: verdict.Fallback(cmp.Or(r.OnStoreFailure, cfg.OnStoreFailure)), Parts: cfg.Instances,
		Near: cfg.NearLimit, Tally: &c.tally,
	}
	compiled.plan = compiled.newPlan(r.Limits)
	if r.Block != nil {
		compiled.block = blocks.Compile(r.Name, r.Block.policy())
	}
	compiled.settles = r.CountOnly != nil || r.ResponseCost != nil || r.Block != nil && r.Block.When != nil
	compiled.use.Shown = keyer.Shows(r.Key) || r.Skip != nil || r.Cost != nil
	compiled.use.Lasts = compiled.settles || r.InFlight > 0
	_, inMemory := cfg.Store.(*MemoryStore)
	lean := (inMemory || cfg.Store == nil) && compiled.mode == Enforce &&
		r.MaxWait == 0 && r.Block == nil && r.LimitsFor == nil
	n := len(compiled.plan.Policies)
	compiled.simple = lean && n > 0 && n <= maxPlain
	compiled.plain = lean && !compiled.settles && r.InFlight == 0 && r.Skip == nil && len(r.Methods) == 0 &&
		(r.OnMissingKey == "" || r.OnMissingKey == ShareKey)
	return compiled
}

// show adds the names of the limits of r in fields of responses to names, with the names of limits
// that LimitsFor can choose.
func (r *rule) show(names respond.Names) error {
	switch n := len(r.plan.Policies); {
	case r.OmitHeaders:
		return nil
	case r.LimitsFor != nil:
		return names.Add(r.Name, 1, maxLimits)
	default:
		return names.Add(r.Name, n, n)
	}
}

// call calls a function of the rule, and reports its error or panic.
func (r *rule) call(rp *report.Reporter, ctx context.Context, what string, f func() error) {
	if err := report.Safely(f); err != nil {
		rp.Report(ctx, fmt.Errorf("ratelimit: rule %q: %s: %w", r.Name, what, err))
	}
}

// applies reports whether the rule applies to req, as far as its method and Skip go.
func (r *rule) applies(rp *report.Reporter, req *http.Request) bool {
	if len(r.Methods) > 0 && !routes.Allows(r.Methods, req) {
		return false
	}
	if r.Skip == nil {
		return true
	}
	skip := false
	r.call(rp, req.Context(), "Skip", func() error { skip = routes.Every(req, r.Skip); return nil })
	return !skip
}

// keyOf returns the key by which to count req, and false if the request is to be denied. The zero
// Key means that the rule does not apply.
func (r *rule) keyOf(rp *report.Reporter, req *http.Request) (Key, bool) {
	var k Key
	var err error
	if r.direct {
		k, err = keyer.Addr{}.Key(req)
	} else {
		err = report.Safely(func() error { k, err = r.Key.Key(req); return err })
	}
	if err == nil && !k.IsZero() {
		return k, true
	}
	if err != nil && !keyer.IsMissing(err) {
		rp.Report(req.Context(), fmt.Errorf("ratelimit: rule %q: Key: %w", r.Name, err))
	}
	if keyer.NeedsPattern(r.Key) {
		rp.Once(req.Context(), "pattern", fmt.Errorf("ratelimit: rule %q: ByPattern: no http.ServeMux has "+
			"matched the request yet: put the rule into Routes, or wrap the handlers inside the mux", r.Name))
	}
	switch r.OnMissingKey {
	case DenyRequest:
		return Key{}, false
	case SkipRule:
		return Key{}, true
	}
	return key.Shared(), true
}

// cost returns what req costs before it is served.
func (r *rule) cost(rp *report.Reporter, req *http.Request) int64 {
	if r.Cost == nil {
		return 1
	}
	n := int64(1)
	r.call(rp, req.Context(), "Cost", func() error {
		cost := r.Cost(req)
		if cost < 0 {
			return fmt.Errorf("negative cost %d", cost)
		}
		n = max(cost, 1)
		return nil
	})
	return n
}

// limitsOf returns the plan for key.
func (r *rule) limitsOf(rp *report.Reporter, ctx context.Context, k Key) *verdict.Plan {
	if r.LimitsFor == nil {
		return r.plan
	}
	p := r.plan
	r.call(rp, ctx, "LimitsFor", func() error {
		limits := r.LimitsFor(ctx, k)
		if len(limits) == 0 {
			return nil
		}
		if err := limits.check(); err != nil {
			return err
		}
		p = r.choose(limits)
		return nil
	})
	return p
}

// newPlan compiles limits that have been checked.
func (r *rule) newPlan(limits Limits) *verdict.Plan {
	var all []pace.Limit
	for _, l := range limits {
		if !l.isUnlimited() {
			all = append(all, pace.Limit(l))
		}
	}
	return verdict.NewPlan(&r.info, all)
}

func (r *rule) choose(limits Limits) *verdict.Plan {
	text := limits.String()
	if p, ok := r.chosen.Load(text); ok {
		return p.(*verdict.Plan)
	}
	p := r.newPlan(limits)
	if r.nchosen.Load() < maxChosen && r.nchosen.Add(1) <= maxChosen { // it must not wrap around
		r.chosen.Store(text, p)
	}
	return p
}

// enforces reports whether r, which is not Off, denies requests of k.
func (r *rule) enforces(k Key) bool {
	if r.mode == Enforce || r.percent == 0 {
		return r.mode == Enforce
	}
	return key.Percentile(r.Name, k) < uint32(r.percent)
}

// charges reports whether the response decides what a request costs.
func (r *rule) charges() bool { return r.CountOnly != nil || r.ResponseCost != nil }

// places returns what a held request of k needs: a place of its key, and a place of the rule.
func (r *rule) places(k Key) []inflight.Permit {
	all := min(r.MaxWaiting, math.MaxInt/keysWaiting) * keysWaiting
	return []inflight.Permit{
		{Rule: r.Name, Key: k, Max: r.MaxWaiting, Meter: &r.meter}, {Rule: r.Name, Max: all, Meter: &r.meter},
	}
}
