package policyfile_test

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"

	"github.com/ratelimit-go/ratelimit/policyfile"
)

func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(policyfile.Schema))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	require.NoError(t, c.AddResource("schema.json", doc))
	s, err := c.Compile("schema.json")
	require.NoError(t, err)
	return s
}

// plain returns data as a validator of a schema reads it.
func plain(path string, data []byte) (v any, err error) {
	if filepath.Ext(path) == ".json" {
		return jsonschema.UnmarshalJSON(bytes.NewReader(data))
	}
	err = yaml.Load(data, &v)
	return v, err
}

// TestGoodFiles reads each good file, and validates it by the schema.
func TestGoodFiles(t *testing.T) {
	s := schema(t)
	for _, path := range files(t, "testdata/good/*", 4) {
		t.Run(path, func(t *testing.T) {
			data := contentOf(t, path)
			_, err := policyfile.Parse(data, program())
			require.NoError(t, err)
			v, err := plain(path, data)
			require.NoError(t, err)
			assert.NoError(t, s.Validate(v))
		})
	}
}

// beyond are the bad files whose mistakes no schema can see.
var beyond = []string{
	"anchor", "bad-cost", "bad-exempt-route", "bad-method", "bad-route", "block-global",
	"block-range", "block-when-without-after", "client-ip-header", "decorator-routes", "decorator-routes-of-other-routers",
	"duplicate-name", "duplicate-name-decorator", "json-duplicate", "limits-in-list", "login-block",
	"limits-twice", "limits-typo", "limits-unlimited", "line-separator-in-comment", "merge", "next-line-in-comment",
	"options", "response-cost", "shedder", "tag",
	"unknown-condition", "unknown-key", "unlimited-typo", "wait-of-typo", "wait-too-long", "waiting-without-wait",
}

// TestSchemaDeniesBadFiles validates the bad files that can be loaded at all.
func TestSchemaDeniesBadFiles(t *testing.T) {
	s := schema(t)
	denied := 0
	for _, path := range files(t, "testdata/bad/*.[yj]*", 40) {
		v, err := plain(path, contentOf(t, path))
		if err != nil {
			continue // a file that is not YAML, or has a field twice
		}
		name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
		if slices.Contains(beyond, name) {
			assert.NoError(t, s.Validate(v), "%s is no longer beyond the schema", path)
			continue
		}
		denied++
		assert.Error(t, s.Validate(v), path)
	}
	assert.Greater(t, denied, 30)
}
