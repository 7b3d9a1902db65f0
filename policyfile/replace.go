package policyfile

import (
	"maps"
	"reflect"
	"slices"

	"github.com/ratelimit-go/ratelimit"
)

// An exchange puts a new version of a file into force instead of the old one.
type exchange struct {
	*compiler // without mistakes at first
	*Target
	old, fresh *File
	inUse      map[string]bool // names of the rules that the limiter has
}

// replace puts f into force instead of w.File, or returns Mistakes and changes nothing. Everything
// that can fail comes first. The last of it is SetPolicy, which is one step.
func (w *watcher) replace(f *File) error {
	x := &exchange{
		compiler: &compiler{decoder: &decoder{places: *f.places}},
		Target:   &w.Target, old: w.File, fresh: f, inUse: map[string]bool{},
	}
	for _, r := range w.Limiter.Stats().Rules {
		x.inUse[r.Name] = true
	}
	if !x.old.spec.isEmpty() && f.spec.isEmpty() {
		x.addf(x.nearest(""), "",
			"no rules, while the version in force has some: want at least one, or their mode off")
	}
	x.restarts(x.old.spec, f.spec)
	shedder := x.changedShedder()
	rules := x.changedRules()
	more, done := x.changedLogins()
	if len(x.mistakes) == 0 {
		// The limiter also has rules of the program, which Parse does not know.
		x.addConfig(w.Limiter.SetPolicy(f.Policy(), append(rules, more...)...), "decorators")
	}
	done(len(x.mistakes) == 0)
	if len(x.mistakes) > 0 {
		return x.mistakes.bounded()
	}
	refill(x.old.config.Allow, x.old.spec.Allow, f.spec.Allow)
	refill(x.old.config.Deny, x.old.spec.Deny, f.spec.Deny)
	f.config.Allow, f.config.Deny = x.old.config.Allow, x.old.config.Deny // the lists that are in use
	if shedder {
		_ = w.Shedder.Replace(*f.shedder) // Parse has checked it
	}
	w.File = f
	return nil
}

// isEmpty reports whether f limits nothing. It may be the beginning of a file that is being
// written.
func (f *file) isEmpty() bool {
	return len(f.Rules)+len(f.Routes)+len(f.Budgets)+len(f.Decorators)+len(f.Logins) == 0
}

// restarts adds what differs between two files and cannot be replaced while a limiter is in use.
func (c *compiler) restarts(old, fresh *file) {
	same := func(field string, a, b any) {
		if !reflect.DeepEqual(a, b) {
			c.addf(c.nearest(field), field, "has changed: needs a restart")
		}
	}
	by := func(l *list) *key {
		if l == nil {
			return nil
		}
		return l.By
	}
	same("client_ip", old.ClientIP, fresh.ClientIP)
	same("store", old.Store, fresh.Store)
	same("headers", old.Headers, fresh.Headers)
	same("merge_headers", old.MergeHeaders, fresh.MergeHeaders)
	same("shared_cache", old.SharedCache, fresh.SharedCache)
	same("allow.by", by(old.Allow), by(fresh.Allow))
	same("deny.by", by(old.Deny), by(fresh.Deny))
	same("shedder", old.Shedder == nil, fresh.Shedder == nil)
	same("logins", slices.Sorted(maps.Keys(old.Logins)), slices.Sorted(maps.Keys(fresh.Logins)))
	same("decorators",
		slices.Sorted(maps.Keys(old.Decorators)), slices.Sorted(maps.Keys(fresh.Decorators)))
	for name, d := range fresh.Decorators {
		before, ok := old.Decorators[name]
		if ok {
			same(named("decorators", name)+".rules", namesOf(before.Rules), namesOf(d.Rules))
		}
	}
}

func namesOf(rules []rule) []string {
	names := make([]string, len(rules))
	for i := range rules {
		names[i] = rules[i].Name
	}
	return names
}

// changedShedder reports whether there is another shedder to put into force.
func (x *exchange) changedShedder() bool {
	if x.failed["shedder"] || reflect.DeepEqual(x.old.spec.Shedder, x.fresh.spec.Shedder) {
		return false
	}
	if x.Shedder == nil {
		x.addf(x.nearest("shedder"), "shedder",
			"has changed, but Target.Shedder is nil: needs a restart")
	}
	return true
}

// changedRules returns the rules of decorators that differ.
func (x *exchange) changedRules() (rules []ratelimit.Rule) {
	for _, name := range slices.Sorted(maps.Keys(x.fresh.spec.Decorators)) {
		field := named("decorators", name)
		if x.failed["decorators"] || x.within[field] {
			continue
		}
		before, after := x.old.spec.Decorators[name].Rules, x.fresh.spec.Decorators[name].Rules
		for i := range after {
			switch {
			case reflect.DeepEqual(before[i], after[i]):
			case x.inUse[after[i].Name]:
				rules = append(rules, x.fresh.decorators[name].Rules[i])
			default:
				x.addf(x.nearest(field), field,
					"has changed, but the program does not use it: needs a restart")
			}
		}
	}
	return rules
}

// changedLogins returns the rules of the logins that differ, and a function to call when they are
// in force or will not be.
func (x *exchange) changedLogins() (rules []ratelimit.Rule, done func(use bool)) {
	var all []func(use bool)
	for _, name := range slices.Sorted(maps.Keys(x.fresh.spec.Logins)) {
		before, after := x.old.spec.Logins[name], x.fresh.spec.Logins[name]
		if before.Routes = after.Routes; x.failed["logins"] || reflect.DeepEqual(before, after) {
			continue
		}
		field := named("logins", name)
		guard := x.Logins[name]
		if guard == nil {
			x.addf(x.nearest(field), field,
				"has changed, but Target.Logins has no guard for it: needs a restart")
			continue
		}
		prepared, done, err := guard.Prepare(x.fresh.logins[name].Config)
		if err != nil {
			x.addConfig(err, field)
			continue
		}
		rules, all = append(rules, prepared...), append(all, done)
		if !x.inUse[prepared[0].Name] {
			x.addf(x.nearest(field), field,
				"has changed, but its guard is not of Target.Limiter: want login.New with this limiter")
		}
	}
	return rules, func(use bool) {
		for _, done := range all {
			done(use)
		}
	}
}

// refill replaces the entries of a list that is in use, if they differ.
func refill(l *ratelimit.List, old, fresh *list) {
	if reflect.DeepEqual(old, fresh) {
		return
	}
	if fresh == nil {
		fresh = new(list)
	}
	keys := make([]ratelimit.Key, len(fresh.Keys))
	for i, text := range fresh.Keys {
		keys[i], _ = ratelimit.ParseKey(text) // Parse has read it
	}
	_ = l.Replace(fresh.Addresses, keys...) // Parse has filled a list with the same
}
