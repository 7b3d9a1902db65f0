package main

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"strings"

	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/accesslog"
	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/replay"
	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/report"
	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/share"
)

// replayFlags are the flags of replay.
type replayFlags struct {
	logs    logFlags
	keys    keyNames
	options replay.Options
	against string
	json    bool
	svg     string
	top     int
	max     shareFlag
}

func (f *replayFlags) set(flags *flag.FlagSet) {
	f.logs.add(flags)
	f.keys = keyNames{}
	f.keys.addFlag(flags)
	f.options.ClientFromLog = true
	flags.Func("client",
		"whose `client` to take: log takes the address in the log, policy finds it by client_ip "+
			"of the policy from the peer and X-Forwarded-For in the log (default log)", func(s string) error {
			if s != "log" && s != "policy" {
				return errors.New("want log or policy")
			}
			f.options.ClientFromLog = s == "log"
			return nil
		})
	flags.BoolVar(&f.options.Enforce, "enforce", false, "enforce rules whose mode is dry-run or a percentage")
	flags.StringVar(&f.options.Host, "host", "", "the `name` of the host of lines that name none")
	flags.StringVar(&f.against, "against", "", "another policy `file` to compare with")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	flags.StringVar(&f.svg, "svg", "", "draw requests and denials over time into this `file`")
	flags.IntVar(&f.top, "top", 10, "how many clients to list")
	const gate = "exit with status 1 if a greater `share` of clients is denied, such as 0.1%"
	flags.Var(&f.max, "max-denied-clients", gate)
	flags.Var(&f.max, "max-refused-clients", "another name of -max-denied-clients")
}

// runReplay tries a policy out on logs.
func runReplay(std *streams, args []string) error {
	var f replayFlags
	flags := flag.NewFlagSet("replay", flag.ContinueOnError)
	f.set(flags)
	rest, err := parse(std, flags, "replay FILE access.log...", args)
	if err != nil {
		return err
	}
	if len(rest) == 0 {
		return usagef("want a policy file and access logs")
	}
	if f.top < 0 || f.top > 10_000 {
		return usagef("-top %d: want 0 to 10000", f.top)
	}
	r, err := f.replay(std, rest[0], rest[1:])
	if err != nil {
		return err
	}
	passed := !f.max.set || r.Check(f.max.value)
	if err := f.print(std, r); err != nil {
		return err
	}
	if !passed {
		return errFailed
	}
	return nil
}

// replay replays logs under a policy.
func (f *replayFlags) replay(std *streams, policy string, logs []string) (*report.Report, error) {
	now, notes, err := f.engine(std, policy)
	if err != nil {
		return nil, err
	}
	var other *replay.Engine
	if f.against != "" {
		if other, _, err = f.engine(std, f.against); err != nil {
			return nil, err
		}
	}
	c := report.NewCollector(policy, f.against)
	stats, err := f.logs.each(std, logs, func(entry *accesslog.Entry) error {
		return decide(c, entry, now, other)
	})
	now.Finish()
	if other != nil {
		other.Finish()
	}
	if err != nil {
		return nil, err
	}
	r := c.Report(stats, now.Applied(), f.top)
	r.Blocks, r.Notes = now.Blocks(), append(append([]string{}, notes...), now.Notes()...)
	return r, nil
}

// decide replays one entry under one or two policies.
func decide(c *report.Collector, entry *accesslog.Entry, now, other *replay.Engine) error {
	result, err := now.Serve(entry)
	if err != nil || other == nil {
		c.Add(entry, &result, nil)
		return err
	}
	before, err := other.Serve(entry)
	c.Add(entry, &result, &before)
	return err
}

// engine makes an engine of a policy file.
func (f *replayFlags) engine(std *streams, path string) (*replay.Engine, []string, error) {
	file, err := readPolicy(std, path, f.keys)
	if err != nil {
		return nil, nil, err
	}
	engine, err := replay.New(replayPolicy(file), f.options)
	return engine, policyNotes(file), err
}

// print prints the report and writes the drawing.
func (f *replayFlags) print(std *streams, r *report.Report) error {
	if f.svg != "" {
		var b strings.Builder
		if err := r.WriteSVG(&b); err != nil {
			return err
		}
		if err := os.WriteFile(f.svg, []byte(b.String()), 0o644); err != nil {
			return err
		}
	}
	if !f.json {
		return r.WriteText(std.out)
	}
	e := json.NewEncoder(std.out)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// A shareFlag is a flag such as 0.1% or 0.001.
type shareFlag struct {
	value float64
	set   bool
}

func (s *shareFlag) String() string { return "" }

func (s *shareFlag) Set(text string) (err error) {
	s.value, err = share.Parse(text)
	s.set = err == nil
	return err
}
