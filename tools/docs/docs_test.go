package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func write(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		full := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(full), 0o755))
		require.NoError(t, os.WriteFile(full, []byte(text), 0o600))
	}
	return root
}

func TestComments(t *testing.T) {
	root := write(t, map[string]string{
		"p/a.go": `package p

// Told are constants.
const (
	Told = 1
	Also = 2
)

const (
	Untold = 1
	After  = 2 // is told
	hidden = 3
)

var V int

type T struct {
	Alone int

	// First and Second are told.
	First  int
	Second int

	Third int // is told
	Fourth int

	Fifth, sixth int
}

func (*T) M()    {}
func (T) hidden() {}

// I has one method.
type I interface{ Lone() }

// J has two methods.
type J interface {
	One()
	// Two is told.
	Two()
}

func F() {}

// New is told.
func New() *T { return nil }
`,
		"p/a_test.go": "package p\n\nfunc ForTests() {}\n",
	})
	found, err := uncommented(root, "p")
	require.NoError(t, err)
	assert.Equal(t, []string{
		"p: package p has no comment",
		"p/a.go:10: Untold has no comment",
		"p/a.go:15: V has no comment",
		"p/a.go:43: F has no comment",
		"p/a.go:38: J.One has no comment",
		"p/a.go:17: T has no comment",
		"p/a.go:30: T.M has no comment",
		"p/a.go:18: T.Alone has no comment",
		"p/a.go:27: T.Fifth has no comment",
	}, found)
}

func TestLinks(t *testing.T) {
	root := write(t, map[string]string{
		"README.md": "# The `Rule` type, [linked](docs/a.md)\n\n## Twice\n\n## Twice\n\n```sh\n# no heading [x](nowhere.md)\n```\n" +
			"`[x](nowhere.md)` [a](docs/a.md) [b](#the-rule-type-linked) [c](#twice-1) [d](https://example.com/nowhere)\n",
		"docs/a.md": "[a](../README.md#twice) [b](../README.md#no-heading) [c](nowhere.md) [d](#twice)\n" +
			"[e](https://github.com/ratelimit-go/ratelimit/blob/main/docs/a.md) [f](code.go#L3)\n\n" +
			"[g]: gone.md\n[h](" + home + "gone.md)\n",
		"docs/code.go": "package docs\n",
	})
	broken, err := checkLinks(root)
	require.NoError(t, err)
	assert.Equal(t, []string{
		"docs/a.md:1: link to ../README.md#no-heading: no such heading",
		"docs/a.md:1: link to nowhere.md: no such file",
		"docs/a.md:1: link to #twice: no such heading",
		"docs/a.md:5: link to " + home + "gone.md: no such file",
		"docs/a.md:4: link to gone.md: no such file",
	}, broken)
}

func TestCheck(t *testing.T) {
	root := write(t, map[string]string{
		"go.mod":          "module example.com/m\n\ngo 1.25.0\n",
		"m.go":            "// Package m is told.\npackage m\n",
		"sub/s.go":        "// Package sub is told.\npackage sub\n\n// F is told.\nfunc F() {}\n",
		"internal/i/i.go": "package i\n",
		"tools/t.go":      "package tools\n",
		"README.md":       "[x](nowhere.md)\n",
	})
	out := filepath.Join(t.TempDir(), "out")
	found, err := check(root, out)
	require.NoError(t, err)
	assert.Equal(t, []string{"README.md:1: link to nowhere.md: no such file"}, found)

	text, err := os.ReadFile(filepath.Join(out, "sub.txt"))
	require.NoError(t, err)
	assert.Contains(t, string(text), "Package sub is told.\n\nFUNCTIONS\n\nfunc F()\n    F is told.")
	assert.FileExists(t, filepath.Join(out, "root.txt"))
	entries, err := os.ReadDir(out)
	require.NoError(t, err)
	assert.Len(t, entries, 2)
}
