package main

import (
	"context"
	"flag"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/accesslog"
	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/plain"
	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/replay"
	"github.com/ratelimit-go/ratelimit/policyfile"
)

// runExplain shows the rules for a request.
func runExplain(std *streams, args []string) error {
	flags := flag.NewFlagSet("explain", flag.ContinueOnError)
	from := flags.String("from", "192.0.2.1", "the `address` that the connection comes from")
	user := flags.String("user", "", "the `name` of the user that is signed in")
	host := flags.String("host", "host.invalid", "the `name` of the host that is asked")
	header := http.Header{}
	flags.Func("header", "a header field, as `\"Name: value\"` (may be repeated)", func(text string) error {
		name, value, ok := strings.Cut(text, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return fmt.Errorf("%q: want \"Name: value\"", text)
		}
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if strings.EqualFold(name, "Host") { // a server takes it out of the header
			*host = value
			return nil
		}
		header.Add(name, value)
		return nil
	})
	keys := keyNames{}
	keys.addFlag(flags)
	rest, err := parse(std, flags, `explain FILE "METHOD /path"`, args)
	if err != nil {
		return err
	}
	if len(rest) != 2 {
		return usagef(`want a policy file and a request such as "POST /login"`)
	}
	entry, err := requestEntry(rest[1], *from)
	if err != nil {
		return usageError{err}
	}
	entry.User, entry.Host, entry.Header = *user, *host, header
	file, err := readPolicy(std, rest[0], keys)
	if err != nil {
		return err
	}
	return explain(std, file, entry)
}

// requestEntry reads a request such as "POST /login".
func requestEntry(text, from string) (*accesslog.Entry, error) {
	method, target, ok := strings.Cut(strings.TrimSpace(text), " ")
	if !ok {
		method, target = http.MethodGet, method
	}
	addr, err := netip.ParseAddr(from)
	if err != nil {
		return nil, fmt.Errorf("-from %q: want an address such as 203.0.113.7", from)
	}
	return accesslog.NewEntry(method, target, addr)
}

// explain prints the rules that apply to a request, in their order.
func explain(std *streams, file *policyfile.File, entry *accesslog.Entry) error {
	cfg, r, notes := file.Config(), replay.Request(entry), unknownNotes(file)
	cfg.Hooks.Error = func(_ context.Context, err error) {
		if text := plain.Text(err.Error(), 500); !slices.Contains(notes, text) {
			notes = append(notes, text)
		}
	}
	limiter, err := ratelimit.New(cfg)
	if err != nil {
		return err
	}
	client := "none"
	if prefix, err := limiter.ClientIP().Client(r); err == nil {
		client = ratelimit.PrefixKey(prefix).String()
	}
	fmt.Fprintf(std.out, "%s %s, client %s\n",
		r.Method, plain.Text(r.RequestURI, 200), plain.Text(client, 100))
	defer func() {
		for _, note := range notes {
			fmt.Fprintln(std.out, note)
		}
	}()
	applied, err := serveOnce(std, cfg, r)
	if applied == nil || err != nil {
		return err
	}
	for i, d := range limiter.Explain(r) {
		fmt.Fprintf(std.out, "%3d. rule %s: %s for %s, %s%s\n", i+1, d.Rule, d.Limit,
			plain.Text(d.Key.String(), 100), d.Mode, verdict(d))
		applied[d.Rule] = true
	}
	explainControls(std, &cfg, applied)
	explainRouted(std, file, entry)
	return nil
}

func verdict(d ratelimit.Decision) string {
	if d.Allowed {
		return ""
	}
	return ", denies even the first request: " + string(d.Reason)
}

// serveOnce sends r through a limiter of its own, and tells if no limit of the policy decides. It
// returns the names of the rules that have counted r, or nil if that is all there is to tell.
func serveOnce(std *streams, cfg ratelimit.Config, r *http.Request) (map[string]bool, error) {
	decided, done := false, false
	cfg.Hooks.Decided = func(_ *http.Request, d ratelimit.Decision, _ iter.Seq[ratelimit.Decision]) {
		decided = true
		switch d.Reason {
		case ratelimit.ReasonDenied:
			fmt.Fprintln(std.out, "The client is on the deny list: it gets status 403.")
			done = true
		case ratelimit.ReasonNoKey:
			fmt.Fprintf(std.out, "The request has no key for rule %s: it gets status 403.\n", d.Rule)
			done = true
		}
	}
	limiter, err := ratelimit.New(cfg)
	if err != nil {
		return nil, err
	}
	final := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
	})
	limiter.Handler(final).ServeHTTP(httptest.NewRecorder(), r)
	if !decided {
		fmt.Fprintln(std.out,
			"No limit applies: no rule matches, or the request is exempt, or the client is allowed.")
	}
	if done {
		return nil, nil
	}
	applied := map[string]bool{}
	for _, rule := range limiter.Stats().Rules {
		applied[rule.Name] = rule.Allowed > 0 || len(rule.Denied) > 0
	}
	return applied, nil
}

// explainControls prints what the rules that apply do besides limiting the rate.
func explainControls(std *streams, cfg *ratelimit.Config, applied map[string]bool) {
	rules := slices.Clone(cfg.Rules)
	for _, pattern := range slices.Sorted(maps.Keys(cfg.Routes)) {
		rules = append(rules, cfg.Routes[pattern]...)
	}
	for _, rule := range rules {
		if !applied[rule.Name] {
			continue
		}
		if rule.InFlight > 0 {
			fmt.Fprintf(std.out, "     rule %s: at most %s of a key in flight\n", rule.Name,
				plain.Count(int64(rule.InFlight), "request"))
		}
		if rule.MaxWait > 0 {
			fmt.Fprintf(std.out, "     rule %s: holds requests for up to %v instead of denying them\n",
				rule.Name, rule.MaxWait)
		}
		if rule.Block != nil && rule.Block.After != (ratelimit.Limit{}) {
			fmt.Fprintf(std.out, "     rule %s: blocks a key whose violations reach %v\n", rule.Name,
				rule.Block.After)
		}
	}
}

// explainRouted prints the logins and decorators whose routes match a request.
func explainRouted(std *streams, file *policyfile.File, entry *accesslog.Entry) {
	logins, decorators := map[string][]string{}, map[string][]string{}
	for name, l := range file.Logins() {
		logins[name] = l.Routes
	}
	for name, d := range file.Decorators() {
		decorators[name] = d.Routes
	}
	for _, name := range matches(logins, entry) {
		fmt.Fprintf(std.out, "login %s protects this route\n", plain.Text(name, 100))
	}
	for _, name := range matches(decorators, entry) {
		for _, rule := range file.Decorators()[name].Rules {
			fmt.Fprintf(std.out, "decorator %s: rule %s, %s\n", plain.Text(name, 100), rule.Name, rule.Limits)
		}
	}
}
