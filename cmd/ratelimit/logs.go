package main

import (
	"flag"
	"io"
	"os"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/accesslog"
)

// logFlags are the flags about logs.
type logFlags struct {
	format, zone string
	window       time.Duration
}

func (l *logFlags) add(flags *flag.FlagSet) {
	flags.StringVar(&l.format, "format", "",
		"the `format` of the logs: a name, or a format string of nginx or Apache "+
			"(default found by the first lines)")
	flags.StringVar(&l.zone, "zone", "UTC", "the time `zone` of times that have none")
	flags.DurationVar(&l.window, "window", time.Minute, "how far lines of a file may be out of order")
}

// spare is memory that is never touched. A replay makes 3 KB of garbage a line, and may keep little
// more than that. With the spare memory the heap is collected after as much garbage, which saves a
// sixth of the time (BenchmarkReplay/caddy).
const spare = 128 << 20

// each calls f for each entry of logs, by time, and returns the counts of their lines.
func (l *logFlags) each(
	std *streams, names []string, f func(*accesslog.Entry) error,
) (accesslog.Stats, error) {
	reader, progress, err := l.open(std, names)
	if err != nil {
		return accesslog.Stats{}, err
	}
	defer reader.Close()
	defer progress.end()
	untouched := make([]byte, spare)
	defer runtime.KeepAlive(untouched)
	for {
		entry, err := reader.Next()
		if err == io.EOF {
			return reader.Stats(), nil
		}
		if err == nil {
			err = f(entry)
		}
		if err != nil {
			return accesslog.Stats{}, err
		}
		progress.step()
	}
}

// open opens logs.
func (l *logFlags) open(std *streams, names []string) (*accesslog.Reader, *bar, error) {
	if len(names) == 0 {
		return nil, nil, usagef("want the names of access logs, or - for standard input")
	}
	if i := slices.Index(names, "-"); i >= 0 && slices.Contains(names[i+1:], "-") {
		return nil, nil, usagef("standard input can be read only once")
	}
	if l.window <= 0 {
		return nil, nil, usagef("-window %v: want a duration such as 1m", l.window)
	}
	progress := new(atomic.Int64)
	opts := accesslog.Options{Window: l.window, Progress: progress}
	var err error
	if opts.Location, err = time.LoadLocation(l.zone); err != nil {
		return nil, nil, usagef("-zone %q: want a zone such as Europe/Berlin", l.zone)
	}
	if l.format != "" {
		if opts.Format, err = accesslog.ParseFormat(l.format); err != nil {
			return nil, nil, usagef("-format: %w", err)
		}
	}
	var total int64
	var sources []accesslog.Source
	for _, name := range names {
		open := func() (io.ReadCloser, error) { return os.Open(name) }
		if name == "-" {
			name, open = "standard input", func() (io.ReadCloser, error) { return io.NopCloser(std.in), nil }
		} else if info, err := os.Stat(name); err != nil {
			return nil, nil, err
		} else {
			total += info.Size()
		}
		sources = append(sources, accesslog.Source{Name: name, Open: open})
	}
	return accesslog.Open(sources, opts), newBar(std, progress, total), nil
}
