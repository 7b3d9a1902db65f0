package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/tools/internal/repo"
)

// module writes a module with one test file, and returns its directory.
func module(t *testing.T, root, dir, body string) {
	t.Helper()
	full := filepath.Join(root, dir)
	require.NoError(t, os.MkdirAll(full, 0o755))
	mod := "module example.com/" + filepath.ToSlash(dir) + "\n\ngo 1.25.0\n"
	require.NoError(t, os.WriteFile(filepath.Join(full, "go.mod"), []byte(mod), 0o600))
	text := "package a\n\nimport \"testing\"\n\n" + body + "\n"
	require.NoError(t, os.WriteFile(filepath.Join(full, "a_test.go"), []byte(text), 0o600))
}

func TestRun(t *testing.T) {
	root := t.TempDir()
	module(t, root, "good", "func TestGood(t *testing.T) { t.Run(\"sub\", func(t *testing.T) { t.Skip() }) }")
	module(t, root, "redisstore", "func TestBad(t *testing.T) { t.Error(\"the reason\") }")
	module(t, root, "metrics/proof", "func TestGood(t *testing.T) {}")
	module(t, root, "broken", "func TestBroken(t *testing.T) { undefined() }")

	modules, err := chosen(root, nil)
	require.NoError(t, err)
	var out bytes.Buffer
	require.False(t, run(&out, root, false, modules))

	text := out.String()
	assert.Contains(t, text, "make test: in each module: go test -mod=readonly -vet=off -shuffle=on ./...\n")
	assert.Contains(t, text, "lane 1, tight bounds for time: redisstore\n")
	assert.Contains(t, text, "lane 2, mostly waiting, wide bounds: metrics/proof\n")
	assert.Contains(t, text, "lane 3, computing: broken, good\n")
	assert.Regexp(t, `(?m)^ok  \texample.com/good\t`, text)
	assert.Regexp(t, `(?m)^-- good: 1 passed, 0 failed, 1 skipped in \d+s, \d+s of processor time$`, text)
	assert.Contains(t, text, "a_test.go:5: the reason\n")
	assert.Contains(t, text, "undefined: undefined")
	assert.Regexp(t, `make test: 4 modules, 4 packages, 2 passed, 2 failed, 1 skipped in \d+s\n`+
		`total: 2 passed, 2 failed, 1 skipped\n$`, text)
}

func TestRunInAModuleThatIsNotOne(t *testing.T) {
	var out bytes.Buffer
	assert.False(t, run(&out, t.TempDir(), false, []repo.Module{{Dir: "nowhere", Path: "example.com/nowhere"}}))
	assert.Contains(t, out.String(), "FAIL\texample.com/nowhere [")
}

func TestChosen(t *testing.T) {
	root := t.TempDir()
	module(t, root, ".", "")
	module(t, root, "redisstore/faults", "")

	all, err := chosen(root, nil)
	require.NoError(t, err)
	assert.Len(t, all, 2)

	one, err := chosen(root, []string{"./redisstore/faults/"})
	require.NoError(t, err)
	assert.Equal(t, []repo.Module{{Dir: "redisstore/faults", Path: "example.com/redisstore/faults"}}, one)

	_, err = chosen(root, []string{"nowhere"})
	assert.EqualError(t, err, "nowhere: no module is there")
}

func TestRaceIsOneFlagMore(t *testing.T) {
	assert.Equal(t, []string{"go", "test", "-mod=readonly", "-vet=off", "-race", "-shuffle=on", "./..."}, goTest(true, lane{}))
	assert.Subset(t, goTest(true, lane{nice: 10}), goTest(true, lane{}))
	waiting := goTest(false, lane{nice: 5, waiting: true})
	assert.Equal(t, []string{"-parallel=4", "./..."}, waiting[len(waiting)-2:])
}

// Without an option of the user no test binary sleeps at its end.
func TestWithoutSleep(t *testing.T) {
	for options, want := range map[string]string{
		"":                     "GORACE=atexit_sleep_ms=0",
		"halt_on_error=1":      "GORACE=atexit_sleep_ms=0 halt_on_error=1",
		"atexit_sleep_ms=1000": "GORACE=atexit_sleep_ms=0 atexit_sleep_ms=1000",
	} {
		assert.Equal(t, want, withoutSleep(options))
	}
}
