package policyfile

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// TestWatchWaitsForTheEndOfWriting polls after each byte that is written.
func TestWatchWaitsForTheEndOfWriting(t *testing.T) {
	const before, after = "version: 1\nrules: [{name: a, limits: 5/h}]\n", "version: 1\nrules: [{name: a, limits: 10/h}]\n"
	f, err := Parse([]byte(before), Options{})
	require.NoError(t, err)
	limiter, err := ratelimit.New(f.Config())
	require.NoError(t, err)
	var changes []Change
	path := filepath.Join(t.TempDir(), "policy.yaml")
	report := func(c Change) { changes = append(changes, c) }
	w := &watcher{Target: Target{File: f, Limiter: limiter, Report: report}, path: path, handled: f.version()}
	out, err := os.Create(path)
	require.NoError(t, err)
	for _, r := range after {
		w.poll()
		_, err := out.WriteString(string(r))
		require.NoError(t, err)
	}
	require.NoError(t, out.Close())
	w.poll()
	assert.Empty(t, changes)
	w.poll()
	require.Len(t, changes, 1)
	require.NoError(t, changes[0].Err)
	assert.EqualValues(t, 10, w.File.Config().Rules[0].Limits[0].Count)

	require.NoError(t, os.WriteFile(path, []byte("version: 1\n"), 0o644))
	w.poll()
	w.poll()
	require.Len(t, changes, 2)
	assert.ErrorContains(t, changes[1].Err, "no rules, while the version in force has some")
	assert.EqualValues(t, 10, w.File.Config().Rules[0].Limits[0].Count)
}
