package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// write makes a module of files and returns its directory.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	files["go.mod"] = "module example.com/m\n\ngo 1.25.0\n"
	for name, text := range files {
		full := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(full), 0o755))
		require.NoError(t, os.WriteFile(full, []byte(text), 0o600))
	}
	return root
}

// The package of these files has a.go and b.go, which use each other's names, and c.go, which uses
// a method of a type that a.go declares.
var threeFiles = map[string]string{
	"a.go": `// Package m is a package.
package m

const A, hidden = 1, 2

type T struct {
	X, Y int
	z    int
}

func (T) M() {}
func (T) m() {}
func (t T) use() { t.b() }
`,
	"b.go": `package m

var B = T{X: A}.X

func (t T) b() {
	B += hidden
	use := 1
	_ = use
}

type Alias = T
`,
	"c.go": `package m

type I interface{ M() }

func F(i interface{ N() }) { T{}.M() }
`,
	"a_test.go":       "package m\n\nvar InTest = B\n",
	"cmd/x/main.go":   "package main\n\nfunc main() {}\n",
	"internal/d/d.go": "// Package d is below.\npackage d\n",
}

func TestFigures(t *testing.T) {
	packages, err := load(write(t, threeFiles))
	require.NoError(t, err)
	require.Len(t, packages, 2, "the program is left out")

	assert.Equal(t, figures{dir: "internal/d", files: 1, lines: 2, comments: 1, filled: 2}, measure(packages[1]))

	got := measure(packages[0])
	assert.Equal(t, figures{
		dir: ".", files: 3, lines: 29, comments: 1, filled: 21, funcs: []int{1, 1, 1, 1, 5},
		types: 3, functions: 1, methods: 1, constants: 1, variables: 1, fields: 2,
		pairs: 3, mutual: []pair{{a: "a.go", b: "b.go", ofB: []string{"b"}, ofA: []string{"A", "T", "X", "hidden"}}},
	}, got)
	assert.Equal(t, 7, got.names())
	assert.Equal(t, 4, got.commentShare())
	assert.Equal(t, "a.go uses b of b.go, which uses A, T, X, hidden", got.mutual[0].String())
}

func TestFuncLines(t *testing.T) {
	f := figures{funcs: []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 50}}
	assert.Equal(t, []int{6, 10, 50}, []int{f.funcLines(0.5), f.funcLines(0.9), f.funcLines(1)})
	assert.Zero(t, new(figures).funcLines(1))
}

func TestPackageThatDoesNotBuild(t *testing.T) {
	_, err := load(write(t, map[string]string{"a.go": "package m\n\nvar x = y\n"}))
	assert.ErrorContains(t, err, "example.com/m does not build")
}

func TestLimitsOfTheRoot(t *testing.T) {
	within := figures{files: maxRootFiles, lines: maxRootLines, types: maxRootNames, mutual: make([]pair, maxRootPairs)}
	assert.Empty(t, checkRoot(within))

	beyond := figures{files: maxRootFiles + 1, lines: maxRootLines + 1, types: maxRootNames, methods: 1}
	beyond.mutual = make([]pair, maxRootPairs+1)
	beyond.mutual[0] = pair{a: "a.go", b: "b.go", ofB: strings.Split("abcdefgh", ""), ofA: []string{"x"}}
	got := checkRoot(beyond)
	require.Len(t, got, 4+maxRootPairs+1)
	assert.Equal(t, []string{
		"the root package has 21 source files: want at most 20",
		"the root package has 4001 lines: want at most 4000",
		"the root package has 121 exported names: want at most 120",
		"the root package has 5 pairs of files that use each other's names: want at most 4",
		"a.go uses a, b, c, d, e, f and 2 more of b.go, which uses x",
	}, got[:5])
}

func TestLimitsOfFiles(t *testing.T) {
	function := func(lines int) string { return "func f() {" + strings.Repeat("\n", lines-1) + "}\n" }
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"as long as it may be", "package m\n" + strings.Repeat("\n", maxFileLines-1), nil},
		{"long file", "package m\n" + strings.Repeat("\n", maxFileLines), []string{"a.go has 301 lines: want at most 300"}},
		{"function as long as it may be", "package m\n\n" + function(maxFuncLines), nil},
		{"long function", "package m\n\n" + function(maxFuncLines+1), []string{"a.go:3: f has 61 lines: want at most 60"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := checkFile("a.go", []byte(tt.text))
			require.NoError(t, err)
			assert.Equal(t, tt.want, got)
		})
	}
	_, err := checkFile("a.go", []byte("no Go"))
	assert.Error(t, err)
}

func TestLayout(t *testing.T) {
	long := "package e\n" + strings.Repeat("\n", maxFileLines)
	root := write(t, map[string]string{
		"a.go": "package m\n", "testdata/long.go": long, "e/e_test.go": long, "e/go.mod": "module example.com/m/e\n", "e/e.go": long,
	})
	var out bytes.Buffer
	broken, err := layout(&out, root)
	require.NoError(t, err)
	assert.Equal(t, []string{"e/e.go has 301 lines: want at most 300"}, broken)
	assert.Regexp(t, `(?m)^\. +1 +1 +0% +0 +0/0/0 +0 +0 +0 +0$`, out.String())
}
