package ratelimit_test

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/internal/apilist"
	"github.com/ratelimit-go/ratelimit/internal/testsize"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

const goldenAPI = "testdata/api.txt"

// TestAPI compares what all public packages of the module export with the golden list, so that no
// name appears, changes or goes unnoticed.
func TestAPI(t *testing.T) {
	api, err := apilist.Module(".", testsize.Race)
	require.NoError(t, err)
	if *update {
		require.NoError(t, os.WriteFile(goldenAPI, []byte(strings.Join(api, "\n")+"\n"), 0o644))
	}
	golden, err := os.ReadFile(goldenAPI)
	require.NoError(t, err)
	agreed := strings.FieldsFunc(string(golden), func(c rune) bool { return c == '\n' || c == '\r' })

	var diff []string
	for _, line := range agreed {
		if !slices.Contains(api, line) {
			diff = append(diff, "- "+line)
		}
	}
	for _, line := range api {
		if !slices.Contains(agreed, line) {
			diff = append(diff, "+ "+line)
		}
	}
	if len(diff) > 0 {
		t.Fatalf("the exported API differs from %s:\n%s\nA line with - breaks programs that use it. "+
			"If the change is meant, run make api, and describe it in CHANGELOG.md.", goldenAPI, strings.Join(diff, "\n"))
	}
	require.Equal(t, agreed, api, "%s is out of order: run make api", goldenAPI)
}
