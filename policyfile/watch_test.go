package policyfile_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/policyfile"
)

const (
	five = "version: 1\nrules: [{name: per-client, limits: 5 per hour}]\n"
	ten  = "version: 1\nrules: [{name: per-client, limits: 10 per hour}]\n"
)

var client = ratelimit.ValueKey("test", "client")

// A service is a limiter whose file is watched.
type service struct {
	path    string
	file    *policyfile.File
	limiter *ratelimit.Limiter
	target  policyfile.Target
	poll    chan time.Time
	changes chan policyfile.Change
	ended   chan error
	cancel  context.CancelFunc
}

// write writes a file beside path and renames it.
func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path+".new", []byte(text), 0o644))
	require.NoError(t, os.Rename(path+".new", path))
}

// newService makes a service of text. Its time stands still.
func newService(t *testing.T, path, text string) *service {
	t.Helper()
	return serviceOf(t, path, text, program())
}

// serviceOf is newService of a program with other options.
func serviceOf(t *testing.T, path, text string, options policyfile.Options) *service {
	t.Helper()
	start := time.Now()
	options.Config.Clock = func() time.Time { return start }
	f, err := policyfile.Parse([]byte(text), options)
	require.NoError(t, err)
	limiter, err := ratelimit.New(f.Config())
	require.NoError(t, err)
	return &service{
		path: path, file: f, limiter: limiter, target: policyfile.Target{File: f, Limiter: limiter},
		poll: make(chan time.Time), changes: make(chan policyfile.Change, 10), ended: make(chan error, 1),
	}
}

// watch starts Watch.
func (s *service) watch(t *testing.T) *service {
	t.Helper()
	s.target.Poll = s.poll
	s.target.Report = func(c policyfile.Change) { s.changes <- c }
	var ctx context.Context
	ctx, s.cancel = context.WithCancel(t.Context())
	go func() { s.ended <- policyfile.Watch(ctx, s.path, s.target) }()
	t.Cleanup(s.cancel)
	return s
}

// polls makes Watch poll n times, and waits for the end of all polls except the last one.
func (s *service) polls(n int) {
	for range n {
		s.poll <- time.Time{}
	}
}

// next returns the next change, for which two polls suffice.
func (s *service) next(t *testing.T) policyfile.Change {
	t.Helper()
	s.polls(2)
	select {
	case c := <-s.changes:
		return c
	case <-time.After(10 * time.Second):
		require.FailNow(t, "no change was reported")
		panic("unreachable")
	}
}

// quiet polls some more and reports whether no change was reported.
func (s *service) quiet() bool {
	s.polls(4)
	return len(s.changes) == 0
}

func (s *service) take(t *testing.T, rule string, n int64) ratelimit.Decision {
	t.Helper()
	d, err := s.limiter.Take(t.Context(), rule, client, n)
	require.NoError(t, err)
	return d
}

// The ways in which a file becomes another one.
var ways = map[string]struct {
	prepare, change func(t *testing.T, path, text string)
}{
	"truncate and write": {prepare: write, change: func(t *testing.T, path, text string) {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}},
	"rename": {prepare: write, change: write},
	"remove and create": {prepare: write, change: func(t *testing.T, path, text string) {
		require.NoError(t, os.Remove(path))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}},
	"symbolic links of a ConfigMap": {prepare: configMap, change: configMap},
}

// configMap writes text as Kubernetes does: the file is a link to a file in ..data, which is a link
// to a directory. A link to a new directory replaces ..data.
func configMap(t *testing.T, path, text string) {
	t.Helper()
	dir, err := os.MkdirTemp(filepath.Dir(path), "..2026_")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, filepath.Base(path)), []byte(text), 0o644))
	data := filepath.Join(filepath.Dir(path), "..data")
	old, _ := os.Readlink(data)
	require.NoError(t, os.Symlink(filepath.Base(dir), data+"_tmp"))
	require.NoError(t, os.Rename(data+"_tmp", data))
	if old != "" {
		require.NoError(t, os.RemoveAll(filepath.Join(filepath.Dir(path), old)))
		return
	}
	require.NoError(t, os.Symlink(filepath.Join("..data", filepath.Base(path)), path))
}

func TestWatchSeesEachWayToReplaceAFile(t *testing.T) {
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "policy.yaml")
			way.prepare(t, path, five)
			s := newService(t, path, five).watch(t)
			assert.EqualValues(t, 2, s.take(t, "per-client", 3).Remaining)
			assert.True(t, s.quiet())

			way.change(t, path, ten)
			c := s.next(t)
			require.NoError(t, c.Err)
			assert.Len(t, c.File.Config().Rules, 1)
			assert.EqualValues(t, 6, s.take(t, "per-client", 1).Remaining, "what was spent counts")
			assert.True(t, s.quiet())

			way.change(t, path, "version: 1\nrules: [{nam: x}]\n")
			c = s.next(t)
			require.Error(t, c.Err)
			assert.EqualValues(t, 10, c.File.Config().Rules[0].Limits[0].Count, "the version in force")
			assert.EqualValues(t, 5, s.take(t, "per-client", 1).Remaining)
			assert.True(t, s.quiet(), "a bad version is reported once")

			way.change(t, path, ten)
			require.NoError(t, s.next(t).Err, "the way back is reported")
			assert.EqualValues(t, 4, s.take(t, "per-client", 1).Remaining)
		})
	}
}

func TestWatchReportsAFileThatCannotBeReadOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.yaml")
	write(t, path, five)
	s := newService(t, path, five).watch(t)
	require.NoError(t, os.Remove(path))
	require.ErrorIs(t, s.next(t).Err, os.ErrNotExist)
	assert.True(t, s.quiet())
	assert.EqualValues(t, 4, s.take(t, "per-client", 1).Remaining)
	require.NoError(t, os.Mkdir(path, 0o755))
	require.ErrorContains(t, s.next(t).Err, "not a regular file")
	require.NoError(t, os.Remove(path))
	write(t, path, ten)
	require.NoError(t, s.next(t).Err)
	assert.EqualValues(t, 8, s.take(t, "per-client", 1).Remaining)
}

func TestWatchEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.yaml")
	write(t, path, five)
	s := newService(t, path, five).watch(t)
	s.cancel()
	require.ErrorIs(t, <-s.ended, context.Canceled)
	s = newService(t, path, five).watch(t)
	close(s.poll)
	require.NoError(t, <-s.ended)
}

func TestWatchByItsOwnClock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.yaml")
	write(t, path, five)
	s := newService(t, path, five)
	s.target.Interval = 10 * time.Millisecond
	s.target.Report = func(c policyfile.Change) { s.changes <- c }
	ctx, cancel := context.WithCancel(t.Context())
	go func() { s.ended <- policyfile.Watch(ctx, path, s.target) }()
	write(t, path, ten)
	require.NoError(t, (<-s.changes).Err)
	cancel()
	require.ErrorIs(t, <-s.ended, context.Canceled)
}

func TestWatchDeniesAWrongTarget(t *testing.T) {
	err := policyfile.Watch(t.Context(), "x", policyfile.Target{Interval: time.Millisecond})
	for _, want := range []string{"Target.File: nil", "Target.Limiter: nil", "Target.Interval: 1ms: want at least 10ms"} {
		assert.ErrorContains(t, err, want)
	}
	assert.False(t, errors.Is(err, context.Canceled))
}

// TestBadFilesChangeNothing puts each bad file where a good file was, and compares decisions.
func TestBadFilesChangeNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.yaml")
	good := string(contentOf(t, "testdata/good/full.yaml"))
	write(t, path, good)
	s := newService(t, path, good).watch(t)
	state := func() (all []ratelimit.Decision) {
		for _, target := range []string{"GET /", "GET /search?limit=7", "POST /orders", "GET /healthz"} {
			method, url, _ := strings.Cut(target, " ")
			for _, user := range []string{"alice", "gold", "mallory"} {
				r := httptest.NewRequestWithContext(t.Context(), method, url, http.NoBody)
				r.RemoteAddr = "203.0.113.7:1" // not on the list of clients to allow
				r.Header.Set("User", user)
				all = append(all, s.limiter.Explain(r)...)
			}
		}
		d, err := s.limiter.Peek(t.Context(), "emails", client)
		require.NoError(t, err)
		return append(all, d)
	}
	s.take(t, "emails", 3)
	before := state()
	require.Greater(t, len(before), 10)
	for _, bad := range files(t, "testdata/bad/*.[yj]*", 40) {
		data := string(contentOf(t, bad))
		write(t, path, data)
		c := s.next(t)
		require.Error(t, c.Err, bad)
		assert.Same(t, s.file, c.File, bad)
		assert.Equal(t, before, state(), bad)
	}
	write(t, path, "version: 1\nrules: [{name: per-client, limits: 1 per hour}]\n")
	require.Error(t, s.next(t).Err, "a part of it needs a restart")
	assert.Equal(t, before, state())
}

// TestWatchLogs reports by log/slog, because the program has no Report.
func TestWatchLogs(t *testing.T) {
	var out strings.Builder
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&out, nil)))
	defer slog.SetDefault(before)
	path := filepath.Join(t.TempDir(), "policy.yaml")
	s := newService(t, path, five)
	s.target.Poll = s.poll
	go func() { s.ended <- policyfile.Watch(t.Context(), path, s.target) }()
	for _, text := range []string{ten, "version: 2"} {
		write(t, path, text)
		s.polls(3) // the third ends the second
	}
	close(s.poll)
	require.NoError(t, <-s.ended)
	assert.Contains(t, out.String(), "a new policy file is in force")
	assert.Contains(t, out.String(), `the new policy file is not in force`)
	assert.Contains(t, out.String(), `1:10: version: 2: want 1`)
}
