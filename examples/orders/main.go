// Command orders is an API on a SQL database, and the attacks that bring such an API down. It runs
// the service without limits and with the limits of policy.go, attacks both in the same way, and
// prints what the honest clients felt meanwhile.
//
//	go run .           # both services under every attack; writes RESULTS.md and attack.svg
//	go run . -short    # the same in some seconds, on a small database
//	go run . -signals  # how soon attacks are seen without enforcement; writes RESULTS-signals.md
//	go run . -serve    # only the service, for trying it by hand
//
// Everything stays on the loopback. Each client has its own address in 127.0.0.0/8, so no header
// field needs to tell clients apart. Linux answers on all of these addresses.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("orders", flag.ExitOnError)
	short := flags.Bool("short", false, "a small database and short attacks")
	rounds := flags.Int("rounds", 1, "how many comparisons to run; the tables show medians")
	note := flags.String("note", "", "a remark for the report, such as what else the machine was doing")
	serve := flags.Bool("serve", false, "only serve")
	child := flags.Bool("child", false, "only serve, until the standard input ends")
	limited := flags.Bool("limits", true, "with -serve: with the limits of policy.go")
	dryRun := flags.Bool("dry-run", false, "with -serve: with the limits, all in DryRun")
	watch := flags.Bool("signals", false, "measure how soon each attack is seen without enforcement")
	addr := flags.String("addr", "127.0.0.1:0", "with -serve: address to listen on")
	results := flags.String("out", "",
		"file for the report; if empty, RESULTS.md or RESULTS-signals.md, or none with -short")
	plot := flags.String("plot", "", "file for the plot; if empty, attack.svg, or none with -short")
	if err := flags.Parse(args); err != nil {
		return err
	}
	size := full
	if *short {
		size = small
	}
	if *serve || *child {
		if *child {
			ctx = untilEOF(ctx, os.Stdin)
		}
		return serveUntil(ctx, out, *addr, size.data, modeOf(*limited, *dryRun))
	}
	if *watch {
		return runSignals(ctx, out, size, *results, *note)
	}
	if !*short {
		*results, *plot = cmp.Or(*results, "RESULTS.md"), cmp.Or(*plot, "attack.svg")
	}
	c, err := compare(ctx, out, size, max(1, *rounds))
	if err != nil {
		return err
	}
	c.note = *note
	if _, err := fmt.Fprintf(out, "\n%s\n", c.tables()); err != nil {
		return err
	}
	return errors.Join(write(*results, c.markdown(*plot)), write(*plot, c.svg()))
}

// runSignals runs all attacks without enforcement. It prints the figures and writes the report.
func runSignals(ctx context.Context, out io.Writer, size size, results, note string) error {
	if size.data == full.data {
		results = cmp.Or(results, "RESULTS-signals.md")
	}
	s, err := watchAll(ctx, out, size)
	if err != nil {
		return err
	}
	s.note = note
	if _, err := fmt.Fprintf(out, "\n%s\n%s", s.table(), s.goals()); err != nil {
		return err
	}
	return write(results, s.markdown())
}

// write writes text to the named file. It does nothing if name is empty.
func write(name, text string) error {
	if name == "" {
		return nil
	}
	return os.WriteFile(name, []byte(text), 0o644)
}

// untilEOF returns a context that ends when r ends, so that a child does not outlive its parent.
func untilEOF(ctx context.Context, r io.Reader) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, r)
		cancel()
	}()
	return ctx
}
