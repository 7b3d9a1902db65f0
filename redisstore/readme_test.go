package redisstore_test

import (
	"os"
	"os/exec"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// The README's program compiles.
func TestReadmeCompiles(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	block := regexp.MustCompile("(?s)```go\n(.*?)```").FindSubmatch(readme)
	require.NotNil(t, block)
	// In this directory, for the module's requirements; the name keeps it out of the package.
	f, err := os.CreateTemp(".", "_readme*.go")
	require.NoError(t, err)
	defer os.Remove(f.Name())
	_, err = f.WriteString(`package main

import (
	"log"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/redisstore"
)

var rules []ratelimit.Rule

func main() {
` + string(block[1]) + `
	_ = limiter
}
`)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	out, err := exec.CommandContext(t.Context(), "go", "vet", f.Name()).CombinedOutput()
	require.NoError(t, err, "%s", out)
}
