package policyfile

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/clientip"
	"github.com/ratelimit-go/ratelimit/shed"
)

func (c *compiler) clientIP(spec *clientIP) clientip.Source {
	const field = "client_ip"
	proxies := clientip.TrustedProxies(spec.TrustedProxies...)
	hops := spec.TrustedHops > 0
	switch named := c.values[field+".trusted_proxies"] != nil; {
	case hops && named:
		c.addf(c.values[field+".trusted_hops"], field+".trusted_hops",
			"beside trusted_proxies: want one of them")
	case hops:
		proxies = clientip.TrustedHops(spec.TrustedHops)
	case !named && c.values[field+".trusted_hops"] == nil:
		c.addf(c.values[field], field, "no trusted_proxies: want the addresses of the proxies "+
			"that write the header, or trusted_hops, or no client_ip if clients connect directly")
		return clientip.Remote()
	}
	if cond := c.condition(field+".trusted_if", spec.TrustedIf); cond != nil {
		proxies = proxies.If(cond)
	}
	var source clientip.Source
	switch strings.ToLower(spec.Header) {
	case "x-forwarded-for":
		source = clientip.ForwardedFor(proxies)
	case "forwarded":
		source = clientip.Forwarded(proxies)
	default:
		source = clientip.Header(spec.Header, proxies)
	}
	if spec.IPv6Prefix > 0 {
		source = source.IPv6Prefix(spec.IPv6Prefix)
	}
	if source.Err() != nil && c.proxies(field, spec) {
		return clientip.Remote()
	}
	return source
}

// proxies adds the mistakes in single fields of client_ip, and reports whether there are any.
func (c *compiler) proxies(field string, spec *clientIP) bool {
	before := len(c.mistakes)
	for i, prefix := range spec.TrustedProxies {
		place := fmt.Sprintf("%s.trusted_proxies[%d]", field, i)
		c.addErr(place, clientip.ForwardedFor(clientip.TrustedProxies(prefix)).Err())
	}
	loopback := clientip.TrustedProxies("127.0.0.1")
	if spec.TrustedHops > 0 {
		c.addErr(field+".trusted_hops", clientip.ForwardedFor(clientip.TrustedHops(spec.TrustedHops)).Err())
	}
	switch strings.ToLower(spec.Header) {
	case "", "x-forwarded-for", "forwarded":
	default:
		c.addErr(field+".header", clientip.Header(spec.Header, loopback).Err())
	}
	if spec.IPv6Prefix > 0 {
		c.addErr(field+".ipv6_prefix", clientip.ForwardedFor(loopback).IPv6Prefix(spec.IPv6Prefix).Err())
	}
	return len(c.mistakes) > before
}

// addErr adds every error that err joins, unless field has a mistake already.
func (c *compiler) addErr(field string, err error) {
	if c.failed[field] || c.isFull() {
		return
	}
	for _, err := range unjoin(err) {
		c.addf(c.nearest(field), field, "%s", translate(err.Error()))
	}
}

// list returns a list, which is empty if the file has no such field.
func (c *compiler) list(field string, spec *list) *ratelimit.List {
	l := new(ratelimit.List)
	if spec == nil {
		return l
	}
	if spec.By != nil {
		l.Key = c.key(field+".by", spec.By)
	}
	var keys []ratelimit.Key
	good := true
	for i, text := range spec.Keys {
		k, err := ratelimit.ParseKey(text)
		c.addErr(fmt.Sprintf("%s.keys[%d]", field, i), err)
		keys, good = append(keys, k), good && err == nil
	}
	if len(keys) > 0 && l.Key == nil {
		c.addf(c.values[field+".keys"], field+".keys",
			"without by: want by, the key to look up, such as user")
		good = false
	}
	for i, text := range spec.Addresses {
		err := new(ratelimit.List).Replace([]string{text})
		c.addErr(fmt.Sprintf("%s.addresses[%d]", field, i), err)
		good = good && err == nil
	}
	if good {
		c.addErr(field, l.Replace(spec.Addresses, keys...))
	}
	return l
}

// patterns checks patterns that no limiter checks.
func (c *compiler) patterns(field string, patterns []string) *http.ServeMux {
	mux := http.NewServeMux()
	c.addPatterns(mux, field, patterns, isOf{})
	return mux
}

// addPatterns adds the patterns of a field to mux.
func (c *compiler) addPatterns(mux *http.ServeMux, field string, patterns []string, h isOf) {
	if !c.few(field, len(patterns)) {
		return
	}
	for i, pattern := range patterns {
		c.addErr(fmt.Sprintf("%s[%d]", field, i), register(mux, pattern, h))
	}
}

// register is ServeMux.Handle with an error instead of a panic, and with the mistakes that a
// limiter finds in a pattern, such as wildcards of another router.
func register(mux *http.ServeMux, pattern string, h http.Handler) (err error) {
	defer func() {
		if p := recover(); p != nil {
			text := strings.TrimPrefix(fmt.Sprint(p), "http: ")
			err = errors.New(text + `: want a pattern such as "POST /login"`)
		}
	}()
	mux.Handle(pattern, h)
	rule := ratelimit.Rule{Name: "route", InFlight: 1}
	_, err = ratelimit.New(ratelimit.Config{Routes: map[string][]ratelimit.Rule{pattern: {rule}}})
	var mistake *ratelimit.ConfigError
	if errors.As(err, &mistake) {
		return mistake.Err
	}
	return err
}

func (c *compiler) shedder(spec *shedder) *shed.Config {
	const field = "shedder"
	cfg := c.options.Shedder
	override(&cfg.MaxInFlight, spec.MaxInFlight)
	override(&cfg.MinInFlight, spec.MinInFlight)
	override(&cfg.TargetLatency, time.Duration(spec.TargetLatency))
	exempt := c.condition(field+".exempt", spec.Exempt)
	if exempt != nil {
		cfg.Exempt = exempt
	}
	if len(spec.ExemptRoutes) > 0 {
		if exempt != nil {
			c.addf(c.values[field+".exempt"], field+".exempt", "beside exempt_routes: want one of them")
		}
		mux := c.patterns(field+".exempt_routes", spec.ExemptRoutes)
		cfg.Exempt = func(r *http.Request) bool { _, ok := matched(mux, r); return ok }
	}
	if p := spec.Priority; p != nil {
		cfg.Priority = c.priorities(field+".priority", p)
	}
	return &cfg
}

// isOf is a handler that says which priority a route has.
type isOf struct{ shed.Priority }

func (isOf) ServeHTTP(http.ResponseWriter, *http.Request) {}

// priorities returns the priority of a request by its route.
func (c *compiler) priorities(field string, p *priority) func(*http.Request) shed.Priority {
	if p.Name != "" {
		return c.priority(field, p.Name)
	}
	mux := http.NewServeMux()
	c.addPatterns(mux, field+".critical", p.Critical, isOf{shed.Critical})
	c.addPatterns(mux, field+".sheddable", p.Sheddable, isOf{shed.Sheddable})
	return func(r *http.Request) shed.Priority {
		is, _ := matched(mux, r) // no match is Normal
		return is.Priority
	}
}

// matched returns the handler of the pattern that r matches as it is. It reports false if no
// pattern matches, or if a ServeMux would redirect r to another path.
func matched(mux *http.ServeMux, r *http.Request) (isOf, bool) {
	h, _ := mux.Handler(r)
	is, ok := h.(isOf)
	return is, ok
}
