package store_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The package comment shows the program of the example, which keeps the contract.
func TestPackageCommentShowsTheExample(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	example, err := os.ReadFile("example_test.go")
	require.NoError(t, err)
	code := regexp.MustCompile(`(?m)^//\t.*$`).FindAllString(string(doc), -1)
	require.NotEmpty(t, code)
	for i := range code {
		code[i] = strings.TrimPrefix(code[i], "//\t")
	}
	apply := regexp.MustCompile(`(?s)func \(m \*Map\) Apply.*`).FindString(strings.Join(code, "\n"))
	require.NotEmpty(t, apply)
	assert.Contains(t, string(example), apply)
	for _, line := range code {
		assert.Contains(t, string(example), line)
	}
}
