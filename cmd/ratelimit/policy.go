package main

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/accesslog"
	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/plain"
	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/replay"
	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/suggest"
	"github.com/ratelimit-go/ratelimit/policyfile"
)

// keyNames are keys by the names that a policy file gives them.
type keyNames map[string]ratelimit.Keyer

// addFlag adds the flag -key to flags.
func (k keyNames) addFlag(flags *flag.FlagSet) {
	flags.Func("key",
		"what a key of the program is, as `name=key`; key is user, client, header:NAME or cookie:NAME "+
			"(default user=user; may be repeated)", k.set)
}

func (k keyNames) set(text string) error {
	name, value, ok := strings.Cut(text, "=")
	kind, field, hasField := strings.Cut(value, ":")
	var keyer ratelimit.Keyer
	switch {
	case value == "user":
		keyer = ratelimit.ByValue(name, replay.UserOf)
	case value == "client":
		keyer = ratelimit.ByClientIP()
	case hasField && field != "" && kind == "header":
		keyer = ratelimit.ByHeader(field)
	case hasField && field != "" && kind == "cookie":
		keyer = ratelimit.ByCookie(field)
	}
	if !ok || name == "" || keyer == nil {
		return fmt.Errorf("%q: want name=user, name=client, name=header:NAME or name=cookie:NAME", text)
	}
	k[name] = keyer
	return nil
}

// maxMistakes is how many mistakes policyfile.Parse reports. One more says that there are more.
const maxMistakes = 100

// readPolicy reads a policy file and prints its mistakes.
func readPolicy(std *streams, path string, keys keyNames) (*policyfile.File, error) {
	user := ratelimit.ByUser(replay.UserOf)
	options := policyfile.Options{Keys: map[string]ratelimit.Keyer{"user": user}, AnyName: true}
	for name, keyer := range keys {
		options.Keys[name] = keyer
	}
	file, err := policyfile.Read(path, options)
	var mistakes policyfile.Mistakes
	switch {
	case errors.As(err, &mistakes):
		for _, m := range mistakes {
			fmt.Fprintf(std.err, "%s:%s\n", plain.Text(path, 200), plain.Text(m.Error(), 500))
		}
		n := plain.Count(int64(len(mistakes)), "mistake")
		if len(mistakes) > maxMistakes {
			n = fmt.Sprintf("more than %d mistakes", maxMistakes)
		}
		fmt.Fprintln(std.err, n)
		return nil, errFailed
	case err != nil:
		return nil, err
	}
	return file, nil
}

// replayPolicy returns what a file says in the form that a replay takes.
func replayPolicy(file *policyfile.File) replay.Policy {
	p := replay.Policy{
		Config: file.Config(), Logins: map[string]replay.Login{}, Decorators: map[string]replay.Decorator{},
	}
	for name, l := range file.Logins() {
		p.Logins[name] = replay.Login{Config: l.Config, Routes: l.Routes}
	}
	for name, d := range file.Decorators() {
		p.Decorators[name] = replay.Decorator{Rules: d.Rules, Routes: d.Routes}
	}
	return p
}

// unknownNotes returns what a decision under file lacks here.
func unknownNotes(file *policyfile.File) []string {
	var notes []string
	for _, name := range file.Unknown() {
		notes = append(notes,
			plain.Text("The policy names a function of the program: "+name+". It is not known here.", 300))
	}
	return notes
}

// policyNotes returns what a replay of file leaves out.
func policyNotes(file *policyfile.File) []string {
	notes := unknownNotes(file)
	if _, ok := file.Shedder(); ok {
		notes = append(notes,
			"The shedder of the policy is not replayed: it depends on the load of the service.")
	}
	return notes
}

// matches returns the names of routed parts of a file whose patterns match the request of e.
func matches(routes map[string][]string, e *accesslog.Entry) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(routes)) {
		if suggest.ByPatterns(routes[name])(e) != "" {
			names = append(names, name)
		}
	}
	return names
}
