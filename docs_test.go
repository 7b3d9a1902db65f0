package ratelimit_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Each promise in docs/promises.md names the tests that hold it, and these tests exist.
func TestPromisesNameTheirTests(t *testing.T) {
	text, err := os.ReadFile("docs/promises.md")
	require.NoError(t, err)
	kept, _, found := strings.Cut(string(text), "\n## Not yet kept in full\n")
	require.True(t, found)
	rows := regexp.MustCompile(`(?m)^\| \d+ \|.*$`).FindAllString(kept, -1)
	require.NotEmpty(t, rows)
	entry := regexp.MustCompile("`([\\w/]+_test\\.go)`:((?:,? `\\w+`)+)")
	name := regexp.MustCompile("`(\\w+)`")
	for _, row := range rows {
		entries := entry.FindAllStringSubmatch(row, -1)
		assert.NotEmpty(t, entries, row)
		for _, e := range entries {
			source, err := os.ReadFile(e[1])
			require.NoError(t, err)
			for _, n := range name.FindAllStringSubmatch(e[2], -1) {
				assert.True(t, strings.Contains(string(source), "\nfunc "+n[1]+"("), "%s has no %s", e[1], n[1])
			}
		}
	}
}

// The field Authorization has several spellings for one account, so no document counts by it.
func TestNoDocumentCountsByAuthorization(t *testing.T) {
	files, err := filepath.Glob("docs/*.md")
	require.NoError(t, err)
	docs, err := filepath.Glob("*/doc.go")
	require.NoError(t, err)
	for _, file := range append(append(files, docs...), "README.md", "tokenbudget/example_test.go") {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.False(t, strings.Contains(string(text), `ByHeader("Authorization")`), file)
	}
}
