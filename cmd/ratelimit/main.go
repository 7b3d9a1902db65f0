// Command ratelimit checks policy files, and tries policies out on access logs.
//
//	ratelimit check policy.yaml
//	ratelimit explain policy.yaml "POST /login" -from 203.0.113.7
//	ratelimit replay policy.yaml access.log
//	ratelimit suggest access.log
//
// Its exit status is 0 if all is well, 1 after mistakes in a policy, files that cannot be read and
// a gate that failed, and 2 if the command line is wrong.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/plain"
)

func main() {
	std := &streams{in: os.Stdin, out: os.Stdout, err: os.Stderr, progress: isTerminal(os.Stderr)}
	os.Exit(run(std, os.Args[1:]))
}

// streams are where a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
	progress bool // whether to show progress on err
}

const usage = `Usage:

  ratelimit check FILE...                   check policy files
  ratelimit explain FILE "METHOD /path"     show the rules for a request
  ratelimit replay FILE access.log...       try a policy out on access logs
  ratelimit suggest access.log...           suggest limits from access logs

"ratelimit COMMAND -h" lists the flags of a command. The log "-" is standard input.
Exit status: 0 all is well, 1 mistakes or a failed gate, 2 wrong usage.
`

// errFailed means that the command has printed why it failed.
var errFailed = errors.New("failed")

// A usageError is a mistake on the command line.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// run runs a command and returns its exit status.
func run(std *streams, args []string) int {
	commands := map[string]func(*streams, []string) error{
		"check": runCheck, "explain": runExplain, "replay": runReplay, "suggest": runSuggest,
	}
	if len(args) == 0 {
		fmt.Fprint(std.err, usage)
		return 2
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		fmt.Fprint(std.out, usage)
		return 0
	}
	command := commands[args[0]]
	if command == nil {
		fmt.Fprintf(std.err, "ratelimit: no command %q\n\n%s", args[0], usage)
		return 2
	}
	err := command(std, args[1:])
	var wrong usageError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &wrong):
		fmt.Fprintf(std.err, "ratelimit %s: %s\n", args[0], plain.Text(err.Error(), 500))
		return 2
	case !errors.Is(err, errFailed):
		fmt.Fprintf(std.err, "ratelimit %s: %s\n", args[0], plain.Text(err.Error(), 2000))
	}
	return 1
}

// parse parses flags that may stand anywhere among the arguments, and returns the others.
func parse(std *streams, flags *flag.FlagSet, synopsis string, args []string) ([]string, error) {
	flags.SetOutput(io.Discard)
	var others []string
	for {
		err := flags.Parse(args)
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprintf(std.out, "Usage: ratelimit %s\n\n", synopsis)
			flags.SetOutput(std.out)
			flags.PrintDefaults()
			return nil, err
		}
		if err != nil {
			return nil, usageError{err}
		}
		rest := flags.Args()
		if len(rest) == 0 {
			return others, nil
		}
		if n := len(args) - len(rest); n > 0 && args[n-1] == "--" {
			return append(others, rest...), nil
		}
		others, args = append(others, rest[0]), rest[1:]
	}
}
