package ratelimit_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// snippetFrame is what the README's snippets that are not whole programs stand in.
const snippetFrame = `package main

import (
	"context"
	"log"
	"net/http"
	"time"

	"github.com/ratelimit-go/ratelimit"
)

var (
	mux           = http.NewServeMux()
	ctx           = context.Background()
	limiter       *ratelimit.Limiter
	store         ratelimit.Store
	items, login  http.Handler
	userOf        func(*http.Request) string
	accountOf     func(*http.Request) string
	perPage       func(*http.Request) int64
	_             = log.Fatal
	_             = time.Second
)

func snippet() {
%s
}

func main() { snippet() }
`

var goBlock = regexp.MustCompile("(?s)```go\n(.*?)```")

// Every piece of Go in the README compiles.
func TestReadmeSnippetsCompile(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	blocks := goBlock.FindAllSubmatch(readme, -1)
	require.Greater(t, len(blocks), 4)
	for i, block := range blocks {
		code := string(block[1])
		if !strings.HasPrefix(code, "package ") {
			code = fmt.Sprintf(snippetFrame, code)
		}
		file := filepath.Join(t.TempDir(), fmt.Sprintf("snippet%d.go", i))
		require.NoError(t, os.WriteFile(file, []byte(code), 0o600))
		out, err := exec.CommandContext(t.Context(), "go", "vet", file).CombinedOutput()
		require.NoError(t, err, "%s\n%s", block[1], out)
	}
}
