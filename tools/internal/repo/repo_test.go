package repo_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/tools/internal/repo"
)

func write(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		full := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(full), 0o755))
		require.NoError(t, os.WriteFile(full, []byte(text), 0o600))
	}
}

func TestModules(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{
		"go.mod":                "// comment\nmodule example.com/a\n\ngo 1.25.0\n",
		"b/go.mod":              "module example.com/a/b\n",
		"b/testdata/old/go.mod": "module example.com/old\n",
		".cache/go.mod":         "module example.com/cache\n",
	})
	modules, err := repo.Modules(root)
	require.NoError(t, err)
	assert.Equal(t, []repo.Module{{Dir: ".", Path: "example.com/a"}, {Dir: "b", Path: "example.com/a/b"}}, modules)
}

func TestModuleWithoutName(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{"go.mod": "go 1.25.0\n"})
	_, err := repo.Modules(root)
	assert.ErrorContains(t, err, "go.mod: no module line")
}

func TestFiles(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{
		"a.go": "", "a_test.go": "", "docs/b.md": "", ".github/c.md": "", ".git/d.md": "", "testdata/e.md": "",
	})
	markdown, err := repo.Files(root, repo.IsMarkdown)
	require.NoError(t, err)
	assert.Equal(t, []string{".github/c.md", "docs/b.md"}, markdown)

	tests, err := repo.Files(root, repo.IsTest)
	require.NoError(t, err)
	assert.Equal(t, []string{"a_test.go"}, tests)

	goFiles, err := repo.Files(root, repo.IsGo)
	require.NoError(t, err)
	assert.Equal(t, []string{"a.go", "a_test.go"}, goFiles)
}
