package policyfile

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"
)

// TestJSONMeansTheSame writes each good YAML file as JSON, and reads both.
func TestJSONMeansTheSame(t *testing.T) {
	paths, err := filepath.Glob("testdata/good/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		var v any
		require.NoError(t, yaml.Load(data, &v))
		asJSON, err := json.MarshalIndent(v, "", "\t")
		require.NoError(t, err)
		options := Options{AnyName: true}
		want, err := Parse(data, options)
		require.NoError(t, err)
		for name, same := range map[string][]byte{
			"JSON": asJSON, "byte order mark": append([]byte("\ufeff"), asJSON...),
			"CR LF": bytes.ReplaceAll(data, []byte("\n"), []byte("\r\n")),
		} {
			got, err := Parse(same, options)
			require.NoError(t, err, "%s as %s", path, name)
			assert.Equal(t, want.spec, got.spec, "%s as %s", path, name)
		}
	}
}

func TestJSONAfterAByteOrderMark(t *testing.T) {
	data, err := os.ReadFile("testdata/good/tabs.json")
	require.NoError(t, err)
	f, err := Parse(append([]byte("\ufeff"), data...), Options{AnyName: true})
	require.NoError(t, err)
	assert.Contains(t, f.Config().Routes, "GET /café/😀")
}
