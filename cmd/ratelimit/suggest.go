package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/accesslog"
	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/plain"
	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/replay"
	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/report"
	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/share"
	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/suggest"
	"github.com/ratelimit-go/ratelimit/policyfile"
)

// suggestFlags are the flags of suggest.
type suggestFlags struct {
	logs    logFlags
	options suggest.Options
	share   shareFlag
	policy  string
	check   bool
}

func (f *suggestFlags) set(flags *flag.FlagSet) {
	f.logs.add(flags)
	f.share.value = 0.001
	flags.Var(&f.share, "share", "the `share` of all clients that the limits may deny (default 0.1%)")
	flags.IntVar(&f.options.Routes, "routes", 20, "how many routes get limits: those with most requests")
	flags.Float64Var(&f.options.Headroom, "headroom", 1, "multiply the smallest limits by this `factor`")
	flags.StringVar(&f.policy, "patterns", "",
		"a policy `file` whose routes to use, instead of paths with ids collapsed")
	flags.BoolVar(&f.check, "check", true,
		"replay the suggested policy on the logs, if they are files")
}

// runSuggest prints a policy file that fits the logs.
func runSuggest(std *streams, args []string) error {
	var f suggestFlags
	flags := flag.NewFlagSet("suggest", flag.ContinueOnError)
	f.set(flags)
	logs, err := parse(std, flags, "suggest access.log...", args)
	if err != nil {
		return err
	}
	if !(f.options.Headroom >= 1 && f.options.Headroom <= 1000) || // also NaN
		f.options.Routes < 0 || f.options.Routes > suggest.MaxRoutes {
		return usagef("want -headroom from 1 to 1000 and -routes from 0 to %d", suggest.MaxRoutes)
	}
	f.options.Share = f.share.value
	group, err := f.group(std)
	if err != nil {
		return err
	}
	table := suggest.NewTable(group)
	stats, err := f.logs.each(std, logs, func(entry *accesslog.Entry) error {
		table.Add(entry)
		return nil
	})
	if err != nil {
		return err
	}
	s := table.Suggest(f.options)
	if s.Clients == 0 {
		return fmt.Errorf("no request could be read, of %s", plain.Count(stats.Lines, "line"))
	}
	comment := f.comment(&s, &stats)
	if f.check && !slices.ContainsFunc(logs, readOnce) {
		line, err := f.checked(std, &s, logs)
		if err != nil {
			return err
		}
		comment = append(comment, line)
	}
	return s.WritePolicy(std.out, comment)
}

// readOnce reports whether a log can be read only once, such as standard input or a pipe.
func readOnce(name string) bool {
	info, err := os.Stat(name)
	return name == "-" || err != nil || !info.Mode().IsRegular()
}

// group returns the function that finds the route of a request.
func (f *suggestFlags) group(std *streams) (func(*accesslog.Entry) string, error) {
	if f.policy == "" {
		return suggest.Collapse, nil
	}
	file, err := readPolicy(std, f.policy, nil)
	if err != nil {
		return nil, err
	}
	patterns := slices.Collect(maps.Keys(file.Policy().Routes))
	for _, l := range file.Logins() {
		patterns = append(patterns, l.Routes...)
	}
	for _, d := range file.Decorators() {
		patterns = append(patterns, d.Routes...)
	}
	slices.Sort(patterns)
	return suggest.ByPatterns(slices.Compact(patterns)), nil
}

// comment returns what the head of the policy says.
func (f *suggestFlags) comment(s *suggest.Suggestion, stats *accesslog.Stats) []string {
	comment := []string{
		fmt.Sprintf("Suggested by ratelimit from %s of %s.",
			plain.Count(stats.Lines-stats.Unreadable, "line"), plain.Count(s.Clients, "client")),
		fmt.Sprintf("These are the smallest limits that deny at most %s of the clients: %s.",
			share.Percent(f.options.Share), plain.Number(s.Denied)),
	}
	if f.options.Headroom > 1 {
		comment = append(comment, fmt.Sprintf("They are multiplied by %g.", f.options.Headroom))
	}
	if stats.Unreadable > 0 {
		comment = append(comment,
			fmt.Sprintf("%s cannot be read. ratelimit replay shows the first.",
				plain.Count(stats.Unreadable, "more line")))
	}
	if stats.WholeSeconds > 0 {
		comment = append(comment,
			"The log has whole seconds, so requests of one second count as simultaneous.")
	}
	if stats.Late > 0 {
		comment = append(comment, fmt.Sprintf("Out of order by more than the window: %s.",
			plain.Count(stats.Late, "line")))
	}
	if s.Left > 0 || s.Skipped > 0 {
		comment = append(comment,
			fmt.Sprintf("Without a limit of their own: %s with fewer requests, and %s on other paths.",
				plain.Count(int64(s.Left), "route"), plain.Count(s.Skipped, "request")))
	}
	return comment
}

// checked replays the suggested policy.
func (f *suggestFlags) checked(std *streams, s *suggest.Suggestion, logs []string) (string, error) {
	var b bytes.Buffer
	if err := s.WritePolicy(&b, nil); err != nil {
		return "", err
	}
	file, err := policyfile.Parse(b.Bytes(), policyfile.Options{})
	if err != nil {
		return "", errors.New("the suggestion is no valid policy: " + strings.ReplaceAll(err.Error(),
			"\n", "; "))
	}
	engine, err := replay.New(replayPolicy(file), replay.Options{ClientFromLog: true})
	if err != nil {
		return "", err
	}
	c := report.NewCollector("the suggestion", "")
	stats, err := f.logs.each(std, logs, func(entry *accesslog.Entry) error {
		return decide(c, entry, engine, nil)
	})
	engine.Finish()
	if err != nil {
		return "", err
	}
	r := c.Report(stats, nil, 0)
	return fmt.Sprintf("Checked by a replay: it denies %s of %s, %.2f %%.", plain.Count(r.Denied, "request"),
		plain.Count(r.Clients.Denied, "client"), r.Clients.Share*100), nil
}
