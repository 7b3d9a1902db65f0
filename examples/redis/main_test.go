package main

import (
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// startRedis starts a server for the test.
func startRedis(t *testing.T) string {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		path, err = exec.LookPath("valkey-server")
	}
	require.NoError(t, err, "neither redis-server nor valkey-server is installed")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())
	_, port, _ := net.SplitHostPort(addr)
	cmd := exec.Command(path, "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir())
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}, 10*time.Second, 10*time.Millisecond)
	return addr
}

func TestThreeInstancesShareOneLimit(t *testing.T) {
	var out strings.Builder
	require.NoError(t, run(t.Context(), startRedis(t), &out))
	assert.Equal(t, `instance 1: 9 left
instance 2: 8 left
instance 3: 7 left
instance 1: 6 left
instance 2: 5 left
instance 3: 4 left
instance 1: 3 left
instance 2: 2 left
instance 3: 1 left
instance 1: 0 left
instance 2: 429, retry after 6 s
instance 3: 429, retry after 6 s
`, out.String())
}
