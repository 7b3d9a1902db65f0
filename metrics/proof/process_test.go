package proof

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// program returns the path of a program. Without it a test fails: it is not skipped.
func program(t *testing.T, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	require.FailNow(t, "not in PATH", "%v: make prometheus redis", names)
	return ""
}

// dir returns a new directory that the programs may write to.
func dir(t *testing.T) string {
	t.Helper()
	name, err := os.MkdirTemp("", "proof")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(name) })
	if c := credential(t); c != nil {
		require.NoError(t, os.Chown(name, int(c.Uid), int(c.Gid)))
	}
	return name
}

// credential returns an unprivileged user if the tests run as root.
func credential(t *testing.T) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	nobody, err := user.Lookup("nobody")
	require.NoError(t, err)
	uid, err := strconv.ParseUint(nobody.Uid, 10, 32)
	require.NoError(t, err)
	gid, err := strconv.ParseUint(nobody.Gid, 10, 32)
	require.NoError(t, err)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// freeAddr returns an address of this machine with a port that is free now.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

// start starts a server and waits until ready returns nil. If another program takes the free port
// first, start tries another one. The server ends with the test, or by stop.
func start(
	t *testing.T, command func(addr string) []string, ready func(addr string) error,
) (addr string, stop func()) {
	t.Helper()
	var why string
	for range 3 {
		addr := freeAddr(t)
		args := command(addr)
		var out bytes.Buffer
		cmd := exec.Command(args[0], args[1:]...) //nolint:gosec
		cmd.Stdout, cmd.Stderr = &out, &out
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential(t)}
		require.NoError(t, cmd.Start())
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		stop := func() {
			_ = cmd.Process.Kill()
			ended <- <-ended // so that stop can be called again
		}
		t.Cleanup(stop)
		for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline) && len(ended) == 0; {
			if ready(addr) == nil {
				return addr, stop
			}
			time.Sleep(20 * time.Millisecond)
		}
		stop()
		why = fmt.Sprintf("%s does not answer at %s:\n%s", filepath.Base(args[0]), addr, &out)
	}
	require.FailNow(t, why)
	return "", nil
}
