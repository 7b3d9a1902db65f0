package grpclimit_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestReadmeIsTheExample holds the code of README.md to the example that go test runs.
func TestReadmeIsTheExample(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	example, err := os.ReadFile("example_test.go")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(readme), "```go\n")
	require.True(t, found)
	code, _, _ := strings.Cut(rest, "```")
	for line := range strings.Lines(code) {
		if line = strings.TrimSpace(line); line != "" {
			assert.Contains(t, string(example), line)
		}
	}
	assert.Contains(t, string(example), "\t"+strings.ReplaceAll(strings.TrimSpace(code), "\n", "\n\t")+"\n",
		"the lines stand in the example, but not together")
}
