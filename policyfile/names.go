package policyfile

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"slices"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/login"
	"github.com/ratelimit-go/ratelimit/shed"
)

// lookUp returns the function of a name. If the options do not have it, it adds a mistake, except
// with AnyName, and returns stand. An empty name gives nil.
func lookUp[T any](c *compiler, field, what, name string, from map[string]T, stand T) T {
	f, ok := from[name]
	switch {
	case name == "":
		return f // nil
	case ok && reflect.ValueOf(f).IsNil():
		c.addf(c.values[field], field, "the program has nil as the %s %s: want a function", what, cut(name))
	case ok:
		return f
	case c.options.AnyName:
		c.unknown[what+" "+name] = true
	default:
		c.unnamed(field, what, name, maps.Keys(from))
	}
	return stand
}

// unnamed adds the mistake of a name that the program does not have.
func (c *compiler) unnamed(field, what, name string, names iter.Seq[string]) {
	c.addf(c.values[field], field, "the program has no %s %s%s", what, cut(name), suggest(name, names))
}

func (c *compiler) condition(field, name string) func(*http.Request) bool {
	never := func(*http.Request) bool { return false }
	return lookUp(c, field, "request condition", name, c.options.Requests, never)
}

func (c *compiler) limitsFor(field, name string) func(context.Context, ratelimit.Key) ratelimit.Limits {
	none := func(context.Context, ratelimit.Key) ratelimit.Limits { return nil }
	return lookUp(c, field, "limits_for", name, c.options.LimitsFor, none)
}

// failures is the name of ratelimit.Failures.
const failures = "failures"

// statuses are texts that stand in a list of responses.
var statuses = regexp.MustCompile(`^[1-5]([0-9]{2}|xx)$`)

func (c *compiler) responses(field string, r *responses) func(ratelimit.Response) bool {
	switch {
	case r == nil:
		return nil
	case r.Name == failures:
		return ratelimit.Failures
	case r.Name == "":
		codes, classes := r.Codes, r.Classes
		return func(res ratelimit.Response) bool {
			return slices.Contains(codes, res.Status) || slices.Contains(classes, res.Status/100)
		}
	}
	names := maps.Clone(c.options.Responses)
	if names == nil {
		names = map[string]func(ratelimit.Response) bool{}
	}
	names[failures] = ratelimit.Failures
	never := func(ratelimit.Response) bool { return false }
	if names[r.Name] == nil && !c.options.AnyName && statuses.MatchString(r.Name) {
		c.addf(c.values[field], field, "%s: want a list, such as [%s]", cut(r.Name), r.Name)
		return never
	}
	return lookUp(c, field, "response condition", r.Name, names, never)
}

func (c *compiler) account(field string, a *account) func(*http.Request) string {
	none := func(*http.Request) string { return "" }
	switch {
	case a == nil: // missing, which is a mistake already
		return none
	case a.Form != "":
		return login.FormField(a.Form)
	case a.JSON != "":
		return login.JSONField(a.JSON)
	case a.Name == "":
		return none
	}
	return lookUp(c, field, "account", a.Name, c.options.Accounts, none)
}

func (c *compiler) priority(field, name string) func(*http.Request) shed.Priority {
	normal := func(*http.Request) shed.Priority { return shed.Normal }
	return lookUp(c, field, "priority", name, c.options.Priorities, normal)
}

// The keys that need no Options.
const (
	clientKey  = "client_ip"
	patternKey = "pattern"
)

func (c *compiler) key(field string, k *key) ratelimit.Keyer {
	switch {
	case k.Header != "":
		return ratelimit.ByHeader(k.Header)
	case k.Cookie != "":
		return ratelimit.ByCookie(k.Cookie)
	case k.Global != "":
		return ratelimit.Global(k.Global)
	case k.AllOf != nil:
		return ratelimit.AllOf(c.keys(field+".all_of", k.AllOf)...)
	case k.FirstOf != nil:
		return ratelimit.FirstOf(c.keys(field+".first_of", k.FirstOf)...)
	case k.Name == "", k.Name == clientKey:
		return ratelimit.ByClientIP()
	case k.Name == patternKey:
		return ratelimit.ByPattern()
	}
	return c.namedKey(field, k.Name)
}

func (c *compiler) keys(field string, specs []key) []ratelimit.Keyer {
	var keys []ratelimit.Keyer
	for i := range specs {
		keys = append(keys, c.key(fmt.Sprintf("%s[%d]", field, i), &specs[i]))
	}
	if len(keys) == 0 {
		c.addf(c.values[field], field, "no keys: want at least one")
		keys = append(keys, ratelimit.ByClientIP())
	}
	return keys
}

// namedKey returns a key of the program.
func (c *compiler) namedKey(field, name string) ratelimit.Keyer {
	if k := c.options.Keys[name]; k != nil {
		return k
	}
	if c.options.Keyers != nil {
		if k := c.options.Keyers(name); k != nil {
			return k
		}
	}
	missing := ratelimit.KeyFunc(func(*http.Request) (ratelimit.Key, error) {
		return ratelimit.Key{}, ratelimit.ErrNoKey
	})
	names := maps.Clone(c.options.Keys)
	if names == nil {
		names = map[string]ratelimit.Keyer{}
	}
	names[clientKey], names[patternKey] = nil, nil
	return lookUp[ratelimit.Keyer](c, field, "key", name, without(names, name), missing)
}

// without returns m without name.
func without[T any](m map[string]T, name string) map[string]T {
	delete(m, name)
	return m
}

// foreign finds mistakes in the options.
func (c *compiler) foreign() {
	cfg, add := &c.options.Config, func(field, reason string) {
		c.mistakes = append(c.mistakes, &Mistake{Field: "Options." + field, Reason: reason})
	}
	for field, set := range map[string]bool{
		"Rules": len(cfg.Rules) > 0, "Routes": len(cfg.Routes) > 0, "Budgets": len(cfg.Budgets) > 0,
		"ExemptRoutes": len(cfg.ExemptRoutes) > 0, "Exempt": cfg.Exempt != nil,
		"Allow": cfg.Allow != nil, "Deny": cfg.Deny != nil,
	} {
		if set {
			add("Config."+field,
				"set by the program: want it in the file, or rules in a decorator of the program")
		}
	}
	for _, name := range []string{clientKey, patternKey} {
		if c.options.Keys[name] != nil {
			add(fmt.Sprintf("Keys[%q]", name), "has a meaning already: want another name")
		}
	}
	if c.options.Responses[failures] != nil {
		add(fmt.Sprintf("Responses[%q]", failures), "has a meaning already: want another name")
	}
}
