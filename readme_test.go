package ratelimit_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// snippetFrame is the file around a snippet that is not a whole program. It uses what it imports.
const snippetFrame = `package snippets

import (
	"context"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/browser"
	"github.com/ratelimit-go/ratelimit/clientip"
	"github.com/ratelimit-go/ratelimit/dashboard"
	"github.com/ratelimit-go/ratelimit/login"
	"github.com/ratelimit-go/ratelimit/logs"
	"github.com/ratelimit-go/ratelimit/ratelimittest"
	"github.com/ratelimit-go/ratelimit/shed"
	"github.com/ratelimit-go/ratelimit/store"
	"github.com/ratelimit-go/ratelimit/support"
)

var (
	_ = log.Fatal
	_ = browser.Preflight
	_ = dashboard.New
	_ = logs.Attach
	_ = errors.New
	_ = ratelimittest.NewStore
	_ = support.Find
	_ = slog.Info
	_ net.Listener
	_ = time.Second
	_ = clientip.Remote
	_ = login.New
	_ = shed.New
	_ store.Store
)

func snippet%d(
	ctx context.Context, mux *http.ServeMux, limiter *ratelimit.Limiter, redis ratelimit.Store,
	items, orders, checkPassword http.Handler, userOf, partnerOf func(*http.Request) string,
	planOf func(context.Context, ratelimit.Key) ratelimit.Limits, rowsOf func(*http.Request) int64,
	isAdmin, isSupport func(*http.Request) bool,
) {
%s
}
`

// snippetNames are names that snippets share.
const snippetNames = `package snippets

import (
	"net/http"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/clientip"
	"github.com/ratelimit-go/ratelimit/login"
)

var (
	server  *http.Server
	guard   *login.Guard
	source  clientip.Source
	network ratelimit.Keyer
)
`

var (
	goBlock  = regexp.MustCompile("(?s)```go\n(.*?)```")
	declared = regexp.MustCompile(`(?m)^(\w+)(?:, (\w+))* :?= `)
)

// Every piece of Go in the README and in docs compiles. All are built in one call of go vet. A
// whole program is a package, and so are all other pieces together.
func TestSnippetsCompile(t *testing.T) {
	if testing.Short() {
		t.Skip("builds programs")
	}
	pages, err := filepath.Glob("docs/*.md")
	require.NoError(t, err)
	dir, err := os.MkdirTemp("testdata", "snippets-")
	require.NoError(t, err)
	defer func() { assert.NoError(t, os.RemoveAll(dir)) }()
	n := 0
	for _, page := range append(pages, "README.md") {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, block := range goBlock.FindAllSubmatch(text, -1) {
			n++
			code, sub := string(block[1]), dir
			if strings.HasPrefix(code, "package ") {
				sub = filepath.Join(dir, strconv.Itoa(n))
				require.NoError(t, os.Mkdir(sub, 0o755))
			} else {
				code = function(n, code)
			}
			name := fmt.Sprintf("%s-%d.go", strings.TrimSuffix(filepath.Base(page), ".md"), n)
			require.NoError(t, os.WriteFile(filepath.Join(sub, name), []byte(code), 0o600))
		}
	}
	require.Greater(t, n, 8)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "names.go"), []byte(snippetNames), 0o600))
	out, err := exec.CommandContext(t.Context(), "go", "vet", "./"+dir+"/...").CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// function returns a file with snippet number n in a function. Names that the snippet declares are
// used at its end.
func function(n int, code string) string {
	code = strings.ReplaceAll(code, "\n...\n", "\n_ = err\n") // error handling left out
	for _, line := range declared.FindAllString(code, -1) {
		for name := range strings.SplitSeq(strings.TrimRight(line, " :="), ", ") {
			if name != "_" {
				code += "\n\t_ = " + name
			}
		}
	}
	return fmt.Sprintf(snippetFrame, n, code)
}

// The first program of the README answers as its transcript shows.
func TestFirstProgramAnswersAsShown(t *testing.T) {
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	program := regexp.MustCompile(`MustParse\("([^"]+)"\)`).FindSubmatch(text)
	require.NotNil(t, program)
	shown := regexp.MustCompile("(?s)```\n\\$ for i in ([\\d ]+); do [^\n]*\nHTTP/1.1 (\\d+) [^\n]*\n(.*?)\n\n(.*?)\n```")
	transcript := shown.FindSubmatch(text)
	require.NotNil(t, transcript)

	h := limitedBy(t, string(program[1]), nil)
	for range strings.Fields(string(transcript[1])) {
		require.Equal(t, http.StatusOK, serve(h, with()).Code)
	}
	w := serve(h, with())
	assert.Equal(t, string(transcript[2]), strconv.Itoa(w.Code))
	for line := range strings.Lines(string(transcript[3])) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		assert.Equal(t, []string{strings.ReplaceAll(value, "per-client", "r")}, w.Header()[name], name)
	}
	assert.Len(t, w.Header(), strings.Count(string(transcript[3]), "\n")+2, "only X-Content-Type-Options is not shown")
	body := strings.ReplaceAll(strings.ReplaceAll(string(transcript[4]), "\n", ""), "per-client", "r")
	assert.Equal(t, body+"\n", w.Body.String())
}
