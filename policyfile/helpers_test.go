package policyfile_test

import (
	"context"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/policyfile"
	"github.com/ratelimit-go/ratelimit/shed"
)

var update = flag.Bool("update", false, "write the golden files")

// program is the Options of a program.
func program() policyfile.Options {
	header := func(name string) func(*http.Request) string {
		return func(r *http.Request) string { return r.Header.Get(name) }
	}
	has := func(name string) func(*http.Request) bool {
		return func(r *http.Request) bool { return r.Header.Get(name) != "" }
	}
	return policyfile.Options{
		Keys: map[string]ratelimit.Keyer{
			"user":   ratelimit.ByUser(header("User")),
			"tenant": ratelimit.ByValue("tenant", header("Tenant")),
		},
		LimitsFor: map[string]func(context.Context, ratelimit.Key) ratelimit.Limits{
			"plans": func(_ context.Context, key ratelimit.Key) ratelimit.Limits {
				if key == ratelimit.UserKey("gold") {
					return ratelimit.MustParse("1000 per minute")
				}
				return nil
			},
		},
		Requests: map[string]func(*http.Request) bool{
			"internal": has("Internal"), "from-cdn": has("Cdn"), "nothing": nil,
		},
		Responses: map[string]func(ratelimit.Response) bool{
			"server-error": func(res ratelimit.Response) bool { return res.Status >= 500 },
		},
		Accounts:   map[string]func(*http.Request) string{"email": header("Email")},
		Priorities: map[string]func(*http.Request) shed.Priority{"by-plan": func(*http.Request) shed.Priority { return shed.Normal }},
	}
}

// parse parses text, which is valid.
func parse(t *testing.T, text string) *policyfile.File {
	t.Helper()
	f, err := policyfile.Parse([]byte(text), program())
	require.NoError(t, err)
	return f
}

// files returns the files that match, and fails if there are fewer than least.
func files(t *testing.T, pattern string, least int) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(paths), least, pattern)
	return paths
}

func contentOf(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return data
}
