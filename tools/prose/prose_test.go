package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func listOf(t *testing.T, lines ...string) []word {
	t.Helper()
	file := filepath.Join(t.TempDir(), "words.txt")
	require.NoError(t, os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600))
	list, err := readWords(file)
	require.NoError(t, err)
	return list
}

func TestWords(t *testing.T) {
	list := listOf(t, "# a list", "", "but for -> except", "(is|are) asked -> the limiter calls")
	for _, tt := range []struct {
		name, file, text string
		want             []string
	}{
		{"comment", "a.go", "package p // all but for one\n", []string{`a.go:1: "but for": write except`}},
		{"any case", "a.go", "// But for one.\npackage p\n", []string{`a.go:1: "But for": write except`}},
		{"over two lines", "a.go", "package p\n\n\t// all but\n\t// for one\n", []string{`a.go:3: "but for": write except`}},
		{"block comment", "a.go", "/*\nall but\nfor one */\npackage p\n", []string{`a.go:2: "but for": write except`}},
		{"alternatives", "a.go", "// They are asked.\npackage p\n", []string{`a.go:1: "are asked": write the limiter calls`}},
		{"parts of words", "a.go", "// butt forest, but forty, disasked\npackage p\n", nil},
		{"code", "a.go", "package p\n\nconst s = \"all but for one\"\n", nil},
		{"code between comments", "a.go", "package p // but\n\nvar x int // for one\n", nil},
		{"code block in a comment", "a.go", "// Text:\n//\n//\tbut for\npackage p\n", nil},
		{"CRLF", "a.go", "// all but\r\n// for one\r\npackage p\r\n", []string{`a.go:1: "but for": write except`}},
		{"document", "a.md", "# But\nfor\n", []string{`a.md:1: "But for": write except`}},
		{"fence", "a.md", "x\n```go\n// but for\n```\ny `but for` z\n", nil},
		{"link", "a.md", "[x](but-for.md) https://example.com/but-for\n", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.want, checkFile(tt.file, []byte(tt.text), list))
		})
	}
}

func TestWidth(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	for _, tt := range []struct {
		name, file, text string
		want             []string
	}{
		{"comment that fits", "a.go", "// " + long(97), nil},
		{"comment", "a.go", "// " + long(98), []string{"a.go:1: comment of 101 columns: want at most 100"}},
		{"a tab is four columns", "a.go", "\t// " + long(94), []string{"a.go:1: comment of 101 columns: want at most 100"}},
		{"a rune is one column", "a.go", "// " + strings.Repeat("é", 97), nil},
		{"comment in a test", "a_test.go", "// " + long(98), []string{"a_test.go:1: comment of 101 columns: want at most 100"}},
		{"block comment", "a.go", "/*\n" + long(101) + "\n*/", []string{"a.go:2: comment of 101 columns: want at most 100"}},
		{"address", "a.go", "// https://example.com/" + long(100), nil},
		{"output of an example", "a_test.go", "\t// Output:\n\t// " + long(120), nil},
		{
			"after the output", "a_test.go", "\t// Output:\n}\n// " + long(98),
			[]string{"a_test.go:3: comment of 101 columns: want at most 100"},
		},
		{"code that fits", "a.go", long(110), nil},
		{"code", "a.go", long(111), []string{"a.go:1: code of 111 columns: want at most 110"}},
		{"code and comment", "a.go", "var x int // " + long(98), []string{"a.go:1: code of 111 columns: want at most 110"}},
		{"test that fits", "a_test.go", long(140), nil},
		{"test", "a_test.go", long(141), []string{"a_test.go:1: code of 141 columns: want at most 140"}},
		{"document", "a.md", long(200), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.want, checkFile(tt.file, []byte(tt.text+"\n"), nil))
		})
	}
}

func TestCheck(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"README.md", "CHANGELOG.md", "docs/a.md", "docs.md", "other.txt"} {
		full := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(full), 0o755))
		require.NoError(t, os.WriteFile(full, []byte("but for\n"), 0o600))
	}
	words := filepath.Join(root, "words.txt")
	require.NoError(t, os.WriteFile(words, []byte("but for -> except\n"), 0o600))

	found, err := check(root, words, nil)
	require.NoError(t, err)
	assert.Equal(t, []string{
		`README.md:1: "but for": write except`, `docs/a.md:1: "but for": write except`, `docs.md:1: "but for": write except`,
	}, found)

	found, err = check(root, words, []string{"./docs/"})
	require.NoError(t, err)
	assert.Equal(t, []string{`docs/a.md:1: "but for": write except`}, found)
}

func TestBadLists(t *testing.T) {
	for text, want := range map[string]string{
		"but for\n":  ":1: want phrase -> instead",
		"\n( -> x\n": ":2: error parsing regexp",
	} {
		file := filepath.Join(t.TempDir(), "words.txt")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		_, err := check(t.TempDir(), file, nil)
		assert.ErrorContains(t, err, want)
	}
	_, err := check(t.TempDir(), "nowhere.txt", nil)
	assert.Error(t, err)
}

// The list of this repository is read, and every phrase can match.
func TestListOfThisRepository(t *testing.T) {
	list, err := readWords("../words.txt")
	require.NoError(t, err)
	text := "// Nobody is asked; the behaviour of K03, but for whatever is given back.\npackage p\n"
	assert.Len(t, checkFile("a.go", []byte(text), list), 7)
}
