package ratelimit

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// rule is a compiled Rule.
type rule struct {
	Rule
	plan    *plan         // of Limits
	byPeer  bool          // Key is ByRemoteIP()
	forAll  bool          // Key counts everybody together
	penalty *penalty      // of Penalty
	special bool          // it does more than take tokens
	modeNow atomic.Uint32 // a Mode
	waiting atomic.Int64  // requests that it holds
	served  atomic.Int64  // how long requests took of late, with InFlight, in nanoseconds
	chosen  sync.Map      // text of limits to *plan, for LimitsFor
	nchosen atomic.Int32
	parts   int // Config.Instances
}

// plan is the limits of a rule with their texts. It is immutable.
type plan struct {
	local    *plan    // takes its place while the store fails, with UseMemory
	policies []policy // none if unlimited
	field    string   // the members of RateLimit-Policy, "" if the rule is hidden
}

// policy is one limit of a plan.
type policy struct {
	*NamedLimit
	name   string // in header fields
	member string // name as an item of a list
	level  string // the beginning of its member of RateLimit
	field  string // its member of RateLimit-Policy
	quota  int64
	secs   int64 // window
	hidden bool
}

// maxChosen bounds the limits that a rule remembers for LimitsFor. Others are compiled
// for each request.
const maxChosen = 1024

// compileRule compiles a rule that has been checked, for a Limiter of cfg.
func compileRule(r Rule, cfg *Config) *rule {
	r.Limits, r.Methods = slices.Clone(r.Limits), slices.Clone(r.Methods)
	r.OnStoreFailure = cmp.Or(r.OnStoreFailure, cfg.OnStoreFailure)
	c := &rule{Rule: r, byPeer: r.Key == Keyer(ClientIP{}), forAll: countsAll(r.Key), parts: cfg.Instances}
	c.plan = c.newPlan(r.Limits)
	c.special = r.Charge != nil || r.MaxWait > 0 || r.InFlight > 0 || r.Penalty != nil
	c.penalty = compilePenalty(&r)
	c.modeNow.Store(uint32(r.Mode))
	return c
}

// newPlan compiles limits that have been checked.
func (r *rule) newPlan(limits Limits) *plan {
	p := newPlan(&r.Rule, limits)
	if r.OnStoreFailure == UseMemory {
		p.local = newPlan(&r.Rule, limits.part(r.parts))
		for i := range p.local.policies {
			p.local.policies[i].local = true
		}
	}
	return p
}

func newPlan(r *Rule, limits Limits) *plan {
	p := new(plan)
	var fields []string
	for i, l := range limits {
		if l.IsUnlimited() {
			continue
		}
		pol := newPolicy(r, i, len(limits), l)
		pol.hidden = r.Hidden
		p.policies = append(p.policies, pol)
		fields = append(fields, pol.field)
	}
	if !r.Hidden {
		p.field = strings.Join(fields, ", ")
	}
	return p
}

// newPolicy compiles a limit that has been checked.
func newPolicy(r *Rule, index, of int, l Limit) policy {
	larger, extra := l.patient(r.MaxWait)
	named, err := NameLimit(r.Name, index, larger)
	if err != nil {
		panic(err) // unreachable: Limits.check has seen it
	}
	named.extra, named.onFailure = extra, r.OnStoreFailure
	p := policy{NamedLimit: named, name: r.Name}
	if of > 1 {
		p.name += "-" + strconv.Itoa(index+1)
	}
	p.secs = int64((l.Period + 1e9 - 1) / 1e9)
	p.quota = int64(min(float64(l.Count)*(float64(p.secs)*1e9/float64(l.Period)), maxInteger))
	if int64(l.Period) == p.secs*1e9 {
		p.quota = l.Count
	}
	p.member = `"` + p.name + `"`
	p.level = p.member + ";r="
	p.field = p.member + `;q=` + strconv.FormatInt(min(p.quota, maxInteger), 10) + ";w=" + strconv.FormatInt(p.secs, 10)
	return p
}

// isPlain reports whether r takes tokens for every request, and does no more.
func (r *rule) isPlain() bool {
	return !r.special && r.Skip == nil && len(r.Methods) == 0 && r.mode() == Enforce
}

// applies reports whether r applies to the request, as far as its method and Skip go.
func (r *rule) applies(l *Limiter, req *http.Request) bool {
	if len(r.Methods) > 0 && !slices.Contains(r.Methods, req.Method) &&
		(req.Method != http.MethodHead || !slices.Contains(r.Methods, http.MethodGet)) {
		return false
	}
	if r.Skip == nil {
		return true
	}
	skip := false
	l.guard(req, r.Name+": Skip", func() error { skip = r.Skip(req); return nil })
	return !skip
}

// key returns the key to count req by, and false if it is to be refused. The zero Key
// means that the rule does not apply.
func (r *rule) key(l *Limiter, req *http.Request) (Key, bool) {
	var key Key
	var err error
	if r.byPeer {
		key, err = ClientIP{}.Key(req) // which calls nothing that may panic
	} else {
		key, err = safeKey(r.Key, req)
	}
	if err == nil && !key.IsZero() {
		return key, true
	}
	if err != nil && !errors.Is(err, ErrNoIdentity) {
		l.report(req.Context(), fmt.Errorf("ratelimit: rule %q: Key: %w", r.Name, err))
	}
	switch r.Unidentified {
	case RefuseUnidentified:
		return Key{}, false
	case SkipUnidentified:
		return Key{}, true
	}
	return unidentifiedKey(), true
}

func unidentifiedKey() Key { return Key{head: uint64(kindUnidentified)} }

func safeKey(k Keyer, req *http.Request) (key Key, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return k.Key(req)
}

// cost returns what req costs.
func (r *rule) cost(l *Limiter, req *http.Request) int64 {
	if r.Cost == nil {
		return 1
	}
	n := int64(1)
	l.guard(req, r.Name+": Cost", func() error {
		cost := r.Cost(req)
		if cost < 0 {
			return fmt.Errorf("negative cost %d", cost)
		}
		n = cost
		return nil
	})
	return n
}

// limits returns the plan for req.
func (r *rule) limits(l *Limiter, req *http.Request) *plan {
	if r.LimitsFor == nil {
		return r.plan
	}
	p := r.plan
	l.guard(req, r.Name+": LimitsFor", func() error {
		limits := r.LimitsFor(req)
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

func (r *rule) choose(limits Limits) *plan {
	text := limits.String()
	if p, ok := r.chosen.Load(text); ok {
		return p.(*plan)
	}
	p := r.newPlan(limits)
	if r.nchosen.Add(1) <= maxChosen {
		r.chosen.Store(text, p)
	}
	return p
}

// everyLimit returns a plan with a limit for each place that LimitsFor may have chosen one for, here,
// in another process, or before r was replaced. Its numbers mean nothing: it is for resets.
func (r *rule) everyLimit() *plan {
	every := new(plan)
	for i := range maxLimits {
		every.policies = append(every.policies, newPolicy(&r.Rule, i, maxLimits, PerSecond(1)))
	}
	return every
}
