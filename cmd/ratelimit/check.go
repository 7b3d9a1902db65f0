package main

import (
	"flag"
	"fmt"

	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/plain"
	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/replay"
)

// runCheck checks policy files.
func runCheck(std *streams, args []string) error {
	flags := flag.NewFlagSet("check", flag.ContinueOnError)
	keys := keyNames{}
	keys.addFlag(flags)
	files, err := parse(std, flags, "check FILE...", args)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return usagef("want the name of a policy file")
	}
	failed := false
	for _, path := range files {
		if err := checkFile(std, path, keys); err != nil {
			failed = true
			if err != errFailed {
				fmt.Fprintln(std.err, plain.Text(err.Error(), 500))
			}
		}
	}
	if failed {
		return errFailed
	}
	return nil
}

func checkFile(std *streams, path string, keys keyNames) error {
	file, err := readPolicy(std, path, keys)
	if err != nil {
		return err
	}
	if _, err := replay.New(replayPolicy(file), replay.Options{}); err != nil {
		return err
	}
	p := file.Policy()
	rules := len(p.Rules)
	for _, routed := range p.Routes {
		rules += len(routed)
	}
	for _, d := range file.Decorators() {
		rules += len(d.Rules)
	}
	fmt.Fprintf(std.out, "%s: ok (rules: %d, routes: %d, logins: %d)\n", plain.Text(path, 200), rules,
		len(p.Routes), len(file.Logins()))
	for _, name := range file.Unknown() {
		fmt.Fprintf(std.out, "  the program must supply: %s\n", plain.Text(name, 100))
	}
	return nil
}
