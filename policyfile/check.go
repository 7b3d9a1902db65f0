package policyfile

import (
	"cmp"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/login"
	"github.com/ratelimit-go/ratelimit/shed"
)

// check adds the mistakes that the packages find in f, each at the place of its field.
func (c *compiler) check(f *File) {
	cfg := f.Config()
	cfg.Hooks = ratelimit.Hooks{}
	limiter, err := ratelimit.New(cfg)
	c.addConfig(err, "")
	if err != nil { // the names of its rules still must differ from the names of others
		limiter = nameHolder(cfg)
	}
	for _, name := range slices.Sorted(maps.Keys(f.decorators)) {
		field := named("decorators", name) + ".rules"
		if rules := f.decorators[name].Rules; len(rules) > 0 {
			_, err := limiter.Decorator(rules...)
			c.addConfig(err, field)
		} else if !c.failed[field] {
			c.addf(c.nearest(field), field, "no rules: want at least one")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.logins)) {
		_, err := login.New(limiter, f.logins[name].Config)
		c.addConfig(err, named("logins", name))
	}
	if f.shedder != nil && !c.within["shedder"] {
		_, err := shed.New(*f.shedder)
		for _, err := range unjoin(err) {
			name, reason, _ := strings.Cut(strings.TrimPrefix(err.Error(), "shed: "), ": ")
			c.addErr("shedder."+snake(name), errors.New(reason))
		}
	}
}

// nameHolder returns a limiter that has rules of the same names as the valid rules of cfg.
func nameHolder(cfg ratelimit.Config) *ratelimit.Limiter {
	limiter, err := ratelimit.New(ratelimit.Config{})
	if err != nil {
		panic(err) // unreachable: the zero Config is valid
	}
	all := slices.Concat(slices.Collect(maps.Values(cfg.Routes))...)
	for _, r := range slices.Concat(cfg.Rules, all) {
		hold := ratelimit.Rule{Name: r.Name, Limits: ratelimit.MustParse("unlimited"), OmitHeaders: true}
		_, _ = limiter.Decorator(hold) // an invalid name is no name
	}
	return limiter
}

// addConfig adds the mistakes of a ratelimit.Config, a decorator or a login under field.
func (c *compiler) addConfig(err error, under string) {
	var found []*Mistake
	for _, err := range unjoin(err) {
		var at *ratelimit.ConfigError
		if !errors.As(err, &at) {
			found = append(found, &Mistake{Field: under, Reason: translate(err.Error())})
		} else if field := fieldOf(at.Field, under); !c.follows(field) {
			found = append(found, &Mistake{Field: field, Reason: translate(at.Err.Error())})
		}
	}
	for _, m := range found {
		c.addf(c.nearest(m.Field), m.Field, "%s", m.Reason)
	}
}

// follows reports whether a mistake in field only follows from a known mistake.
func (c *compiler) follows(field string) bool {
	for outer := parent(field); outer != ""; outer = parent(outer) {
		if c.failed[outer] {
			return true
		}
	}
	rule := parent(field)
	switch strings.TrimPrefix(field, rule) {
	case ".max_wait":
		return c.within[field] || c.within[rule+".limits"]
	case ".limits":
		return c.within[field] || c.within[rule+".in_flight"]
	case ".max_waiting":
		return c.within[field] || c.within[rule+".max_wait"]
	case ".block":
		return c.failed[field] || c.within[rule+".key"]
	}
	if strings.HasSuffix(field, "]") { // a route, whose rules have mistakes of their own
		return c.failed[field]
	}
	return c.within[field]
}

// fieldOf returns the field of a file that has become a field of a Config, such as
// "Rules[0].OnMissingKey". A field of decorators or logins is under another field of the file.
func fieldOf(field, under string) string {
	if rest, ok := strings.CutPrefix(field, "With"); ok {
		return under + snakes(rest)
	}
	if rest, ok := strings.CutPrefix(field, "login."); ok {
		return under + "." + snakes(rest)
	}
	if name, ok := renamed[field]; ok {
		return name
	}
	return snakes(field)
}

// renamed are the fields of a Config whose names in a file are not the same words.
var renamed = map[string]string{
	"OnStoreFailure": "store.on_failure", "Instances": "store.instances",
	"StoreTimeout": "store.timeout", "LeaseTTL": "store.lease_ttl",
	"Allow.Key": "allow.by", "Deny.Key": "deny.by",
}

// snakes returns a field of a Config with the names of a file. Names in quotes stay.
func snakes(field string) string {
	return unquoted(field, func(part string) string { return words.ReplaceAllStringFunc(part, snake) })
}

// unquoted returns text after f has replaced each part of it that is not in quotes.
func unquoted(text string, f func(string) string) string {
	var b strings.Builder
	end := 0
	for _, at := range quoted.FindAllStringIndex(text, -1) {
		b.WriteString(f(text[end:at[0]]) + text[at[0]:at[1]])
		end = at[1]
	}
	return b.String() + f(text[end:])
}

var (
	quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	words  = regexp.MustCompile(`[A-Za-z]+`)
	humps  = regexp.MustCompile(`([a-z])([A-Z])`)
)

// snake returns the name in files for a name in Go, such as on_missing_key for OnMissingKey.
func snake(name string) string {
	if name == "ClientIP" {
		return "client_ip"
	}
	return strings.ToLower(humps.ReplaceAllString(name, "${1}_${2}"))
}

// nearest returns the node of field, or of the field that it is in.
func (p *places) nearest(field string) *yaml.Node {
	for p.values[field] == nil && field != "" {
		field = parent(field)
	}
	return p.values[field]
}

// parent returns the field that field is in, such as "rules[0]" for "rules[0].limits". It may
// return other beginnings of field, where names have dots.
func parent(field string) string { return field[:max(strings.LastIndexAny(field, ".["), 0)] }

// translate replaces the names of Go in the text of a mistake by the words of a file.
func translate(text string) string {
	text = strings.TrimPrefix(strings.TrimPrefix(text, "ratelimit: "), "clientip: ")
	text = strings.ReplaceAll(strings.TrimPrefix(text, "prefix 0: "), ", or 0 ", ", or no field ")
	text = calls.ReplaceAllString(registered.ReplaceAllString(text, ""), "$1")
	text = strings.ReplaceAll(text, "\n", " ")
	return unquoted(text, func(part string) string {
		return inGo.ReplaceAllStringFunc(part, func(name string) string {
			return cmp.Or(terms[name], snake(name))
		})
	})
}

var terms = map[string]string{
	"Per(10, time.Minute)": `"10 per minute"`,
	"FailOpen":             "open", "FailClosed": "closed", "UseMemory": "memory",
	"ExemptRoutes": "exempt_routes", "ByClientIP()": "client_ip", "After": "after",
}

var (
	calls = regexp.MustCompile(
		`\b(?:IPv6Prefix|TrustedHops|MustParse|ByHeader|ByCookie|Global)\(([^)]*)\)`)
	registered = regexp.MustCompile(` \(registered at [^)]*\)`)
)

var inGo = regexp.MustCompile(`Per\(10, time\.Minute\)|ByClientIP\(\)|` +
	`\b(FailOpen|FailClosed|UseMemory|ExemptRoutes|MaxWaiting|MaxWait|InFlight|MaxInFlight|MinInFlight|` +
	`OnStoreFailure|LimitsFor|TrustedProxies|TrustedHops|After|Forget|When|Key)\b`)

// unjoin returns the errors that err joins, and that they join in turn. It returns none for nil.
func unjoin(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	switch {
	case err == nil:
		return nil
	case !ok:
		return []error{err}
	}
	var all []error
	for _, err := range joined.Unwrap() {
		all = append(all, unjoin(err)...)
	}
	return all
}
