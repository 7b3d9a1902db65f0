package policyfile

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/login"
	"github.com/ratelimit-go/ratelimit/shed"
)

const (
	defaultInterval = 2 * time.Second
	minInterval     = 10 * time.Millisecond
)

// A Target is what [Watch] keeps up to date.
type Target struct {
	_ [0]func()

	// File is the file from which the program started. It must be set. Watch reads newer versions
	// with the same Options.
	File *File
	// Limiter is the limiter of File.Config. It must be set.
	Limiter *ratelimit.Limiter
	// Logins are the guards of File.Logins by name. If a login changes in the file and has no guard
	// here, the new version is not put into force.
	Logins map[string]*login.Guard
	// Shedder is the shedder of File.Shedder. If the shedder changes in the file and Shedder is
	// nil, the new version is not put into force.
	Shedder *shed.Shedder

	// Interval is the time between two polls, 10 ms at least. Zero means 2 seconds. A new version
	// is in force after two polls.
	Interval time.Duration
	// Poll, if non-nil, replaces Interval: Watch polls when it receives a value. It is for tests.
	// Watch ends when it is closed.
	Poll <-chan time.Time
	// Report, if non-nil, is called after each version that was put into force or not, and once
	// if the file cannot be read. Watch waits for it. Nil logs with [log/slog].
	Report func(Change)
}

// A Change is what [Watch] has done about a new version of a file.
type Change struct {
	// File is the version in force: the new one if Err is nil, or else the one before.
	File *File
	// Err says why the new version is not in force. It is [Mistakes], or an error of package os if
	// the file cannot be read.
	Err error
}

// Watch polls the file at path and puts each new version into force, until ctx ends. It starts no
// goroutine: call it in one. It returns the error of ctx, or at once an error in t.
//
// Watch compares the content, so it finds a file that was renamed or reached through another
// symbolic link, as in a Kubernetes ConfigMap. A version counts when two polls in a row have read
// the same. That keeps files out that an editor is still writing, unless writing rests for longer
// than the Interval: if a program writes the file, let it write another one and rename it.
//
// Under a rule of the same name each key keeps what it has spent. Modes that Limiter.SetMode has
// set stay. A version is put into force whole or not at all: nothing changes before all of it has
// been checked, and nothing can fail after the first change. The policy and the rules of decorators
// and logins come into force in one step. The other parts follow at once: logins, lists, shedder. A
// request in that instant, or on its way from the limiter to a decorator, can meet both versions.
//
// What a limiter cannot replace is a mistake that says "needs a restart": client_ip, store,
// headers, merge_headers, shared_cache, the key of a list, whether there is a shedder, and which
// decorators and logins there are, with the names of their rules.
func Watch(ctx context.Context, path string, t Target) error {
	if err := t.check(); err != nil {
		return err
	}
	poll := t.Poll
	if poll == nil {
		interval := t.Interval
		if interval == 0 {
			interval = defaultInterval
		}
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		poll = ticker.C
	}
	w := &watcher{Target: t, path: path, handled: t.File.version()}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case _, open := <-poll:
			if !open {
				return nil
			}
			w.poll()
		}
	}
}

func (t *Target) check() error {
	var errs []error
	add := func(text string) { errs = append(errs, errors.New("policyfile: Target."+text)) }
	if t.File == nil {
		add("File: nil: want the result of Parse or Read")
	}
	if t.Limiter == nil {
		add("Limiter: nil: want the limiter of File.Config")
	}
	for name, guard := range t.Logins {
		if guard == nil {
			add(fmt.Sprintf("Logins[%q]: nil: want the guard of this login", name))
		}
	}
	if t.Interval != 0 && t.Interval < minInterval {
		add(fmt.Sprintf("Interval: %v: want at least %v, or 0 for %v",
			t.Interval, minInterval, defaultInterval))
	}
	return errors.Join(errs...)
}

// A seen is what a poll has found: the hash of the content, or the text of an error.
type seen struct {
	sum [sha256.Size]byte
	err string
}

func (f *File) version() seen { return seen{sum: f.sum} }

// A watcher is one call of Watch.
type watcher struct {
	Target
	path    string
	handled seen // is in force, or has been reported
	pending seen // was found by the poll before
}

// poll reads the file, and acts on it if it is new and has come to rest.
func (w *watcher) poll() {
	data, err := readRegular(w.path)
	found := seen{sum: sha256.Sum256(data)}
	if err != nil {
		found = seen{err: err.Error()}
	}
	before := w.pending
	if w.pending = found; found == w.handled || found != before {
		return
	}
	w.handled = found
	if err != nil {
		w.report(err)
		return
	}
	f, err := Parse(data, w.File.options)
	if err == nil {
		err = w.replace(f)
	}
	w.report(err)
}

func (w *watcher) report(err error) {
	switch {
	case w.Report != nil:
		w.Report(Change{File: w.File, Err: err})
	case err != nil:
		slog.Error("rate limits: the new policy file is not in force", "file", w.path, "err", err)
	default:
		slog.Info("rate limits: a new policy file is in force", "file", w.path)
	}
}

// readRegular is read for regular files only, because another file might never end.
func readRegular(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("policyfile: %s is not a regular file: want one", path)
	}
	return read(path)
}
