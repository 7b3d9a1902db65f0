package policyfile_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/policyfile"
)

// snippets returns the snippets of the README in a language.
func snippets(t *testing.T, language string) []string {
	t.Helper()
	var all []string
	fence := regexp.MustCompile("(?s)\n```" + language + "\n(.*?)```")
	for _, found := range fence.FindAllStringSubmatch(string(contentOf(t, "README.md")), -1) {
		all = append(all, found[1])
	}
	return all
}

// TestReadmeExample reads the annotated file of the README.
func TestReadmeExample(t *testing.T) {
	text := snippets(t, "yaml")[0]
	options := policyfile.Options{Keys: program().Keys} // the names that the README gives
	f, err := policyfile.Parse([]byte(text), options)
	require.NoError(t, err)
	limiter, err := ratelimit.New(f.Config())
	require.NoError(t, err)
	for target, want := range map[string][]string{
		"GET /":                {"per-client"},
		"GET /search?limit=50": {"per-client", "search", "search"},
		"POST /orders":         {"per-client", "orders"},
		"GET /healthz":         nil,
	} {
		method, path, _ := strings.Cut(target, " ")
		var names []string
		for _, d := range limiter.Explain(request(t, method, path, "User", "alice")) {
			names = append(names, d.Rule)
		}
		assert.ElementsMatch(t, want, names, target)
	}
	var v any
	require.NoError(t, yaml.Load([]byte(text), &v))
	assert.NoError(t, schema(t).Validate(v))
}

// TestReadmeMistakes makes the mistakes of the README.
func TestReadmeMistakes(t *testing.T) {
	_, err := policyfile.Parse([]byte(`version: 1
header: legacy
rules:
  - name: per-client
    limits: 100 per minuet
    key: usr
  - name: capacity
    in_flight: 0
`), program())
	require.Error(t, err)
	assert.Equal(t, snippets(t, "text")[0], err.Error()+"\n")
}
