package policyfile

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/ratelimit-go/ratelimit"
)

// replace puts f into force instead of w.File, or returns Mistakes and changes nothing.
func (w *watcher) replace(f *File) error {
	old := w.File
	c := &compiler{decoder: &decoder{places: *f.places}} // without mistakes
	if !old.spec.isEmpty() && f.spec.isEmpty() {
		c.addf(c.nearest(""), "",
			"no rules, while the version in force has some: want at least one, or their mode off")
	}
	c.restarts(old.spec, f.spec)
	logins := w.changedLogins(c, f)
	if len(c.mistakes) > 0 {
		return c.mistakes.bounded()
	}
	undo := func() {}
	do := func(field string, put, back func() error) bool {
		if err := put(); err != nil {
			c.denied(field, err)
			return false
		}
		before := undo
		undo = func() { c.denied(field, back()); before() }
		return true
	}
	ok := do("",
		func() error { return w.Limiter.SetPolicy(f.Policy()) },
		func() error { return w.Limiter.SetPolicy(old.Policy()) })
	if fresh, stale := changedRules(old, f); ok && len(fresh) > 0 {
		ok = do("decorators",
			func() error { return w.Limiter.SetRules(fresh...) },
			func() error { return w.Limiter.SetRules(stale...) })
	}
	for _, name := range logins {
		guard := w.Logins[name]
		ok = ok && do(named("logins", name),
			func() error { return guard.Replace(f.logins[name].Config) },
			func() error { return guard.Replace(old.logins[name].Config) })
	}
	ok = ok && do("allow",
		func() error { return refill(old.config.Allow, f.spec.Allow) },
		func() error { return refill(old.config.Allow, old.spec.Allow) })
	ok = ok && do("deny",
		func() error { return refill(old.config.Deny, f.spec.Deny) },
		func() error { return refill(old.config.Deny, old.spec.Deny) })
	if !ok {
		undo()
		return c.mistakes.bounded()
	}
	f.config.Allow, f.config.Deny = old.config.Allow, old.config.Deny // the lists that are in use
	w.File = f
	return nil
}

// isEmpty reports whether f limits nothing. It may be the beginning of a file that is being
// written.
func (f *file) isEmpty() bool {
	return len(f.Rules)+len(f.Routes)+len(f.Budgets)+len(f.Decorators)+len(f.Logins) == 0
}

// denied adds what the limiter says about a part of a file. That limiter also has
// rules of the program, which check does not know.
func (c *compiler) denied(field string, err error) {
	if errors.Is(err, ratelimit.ErrNoRule) {
		err = fmt.Errorf("the program does not use it: needs a restart (%w)", err)
	}
	c.addConfig(err, field)
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
	same("shedder", old.Shedder, fresh.Shedder)
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

// changedLogins returns the names of the logins that differ.
func (w *watcher) changedLogins(c *compiler, f *File) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(f.spec.Logins)) {
		before, fresh := w.File.spec.Logins[name], f.spec.Logins[name]
		if before.Routes = fresh.Routes; reflect.DeepEqual(before, fresh) {
			continue
		}
		field := named("logins", name)
		if w.Logins[name] == nil && !c.failed["logins"] {
			c.addf(c.nearest(field), field,
				"has changed, but Target.Logins has no guard for it: needs a restart")
		}
		names = append(names, name)
	}
	return names
}

// changedRules returns the rules of decorators that differ, as they are in f and in old.
func changedRules(old, f *File) (fresh, stale []ratelimit.Rule) {
	for _, name := range slices.Sorted(maps.Keys(f.spec.Decorators)) {
		before, after := old.spec.Decorators[name].Rules, f.spec.Decorators[name].Rules
		for i := range after {
			if !reflect.DeepEqual(before[i], after[i]) {
				fresh = append(fresh, f.decorators[name].Rules[i])
				stale = append(stale, old.decorators[name].Rules[i])
			}
		}
	}
	return fresh, stale
}

// refill replaces the entries of a list that is in use.
func refill(l *ratelimit.List, spec *list) error {
	if spec == nil {
		spec = new(list)
	}
	keys := make([]ratelimit.Key, len(spec.Keys))
	for i, text := range spec.Keys {
		k, err := ratelimit.ParseKey(text)
		if err != nil {
			return err // unreachable: Parse has read it
		}
		keys[i] = k
	}
	return l.Replace(spec.Addresses, keys...)
}
