package policyfile_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/policyfile"
)

// TestBadFiles compares the mistakes in each bad file with a golden file beside it.
func TestBadFiles(t *testing.T) {
	for _, path := range files(t, "testdata/bad/*.[yj]*", 40) {
		t.Run(path, func(t *testing.T) {
			golden := strings.TrimSuffix(path, filepath.Ext(path)) + ".txt"
			data := contentOf(t, path)
			f, err := policyfile.Parse(data, program())
			require.Error(t, err)
			assert.Nil(t, f)
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(err.Error()+"\n"), 0o644))
			}
			assert.Equal(t, string(contentOf(t, golden)), err.Error()+"\n")
			var mistakes policyfile.Mistakes
			require.ErrorAs(t, err, &mistakes)
			for _, m := range mistakes {
				assert.Positive(t, m.Line, m)
				assert.Positive(t, m.Column, m)
				assert.ErrorIs(t, err, m)
			}
		})
	}
}
