package ratelimit_test

import (
	"os"
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
