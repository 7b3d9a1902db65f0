package apilist

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestModule(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":                  "module example.com/m\n\ngo 1.25.0\n",
		"m.go":                    "package m\n\nimport \"example.com/m/internal/key\"\n\ntype Key = key.Key\n\nfunc F(k Key) {}\n",
		"internal/key/key.go":     "package key\n\ntype Key struct{ Text string }\n\nfunc (Key) String() string { return \"\" }\n",
		"store/store.go":          "package store\n\nimport \"example.com/m\"\n\nfunc Get(m.Key) {}\n",
		"examples/all/all.go":     "package all\n\nvar Example int\n",
		"cmd/prog/main.go":        "package main\n\nvar Program int\n\nfunc main() {}\n",
		"other/go.mod":            "module example.com/m/other\n\ngo 1.25.0\n",
		"other/other.go":          "package other\n\nvar Other int\n",
		"store/store_test.go":     "package store\n\nvar ForTests int\n",
		"internal/key/deep/in.go": "package deep\n\nvar Internal int\n",
	} {
		file := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	}
	lines, err := Module(root, false)
	require.NoError(t, err)
	assert.Equal(t, []string{
		"pkg m, func F(Key)",
		"pkg m, method (Key) String() string",
		"pkg m, type Key = key.Key",
		"pkg store, func Get(m.Key)",
	}, lines)
}

func TestModuleThatDoesNotBuild(t *testing.T) {
	root := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(root, "go.mod"), []byte("module example.com/m\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(root, "m.go"), []byte("package m\n\nvar x = y\n"), 0o600))
	_, err := Module(root, false)
	assert.ErrorContains(t, err, "undefined: y")
}
