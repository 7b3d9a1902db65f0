package outbound

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/go-chi/httprate"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// newExpress starts one server for each form of fields of express-rate-limit, and returns their
// URLs by form. The window is in milliseconds.
func newExpress(t *testing.T, forms map[string]map[string]any) map[string]string {
	t.Helper()
	dir := filepath.Join("testdata", "express")
	_, err := os.Stat(filepath.Join(dir, "node_modules", "express-rate-limit"))
	require.NoError(t, err, "make node installs it")
	options, err := json.Marshal(forms)
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), "node", "server.js", string(options))
	cmd.Dir, cmd.Stderr, cmd.WaitDelay = dir, os.Stderr, 10*time.Second
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start(), "make node installs node")
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	require.NoError(t, err)
	ports := map[string]int{}
	require.NoError(t, json.Unmarshal(line, &ports))
	urls := map[string]string{}
	for form, port := range ports {
		urls[form] = "http://127.0.0.1:" + strconv.Itoa(port)
	}
	return urls
}

// newHTTPRate starts a server with httprate.
func newHTTPRate(t *testing.T, limit int, window time.Duration) string {
	t.Helper()
	return serve(t, httprate.LimitBy(limit, window, httprate.Key("*"))(hello))
}

// newLibrary starts a server with this library.
func newLibrary(t *testing.T, form ratelimit.Headers, limits string) string {
	t.Helper()
	l, err := ratelimit.New(ratelimit.Config{
		Headers: form,
		Rules:   []ratelimit.Rule{{Name: "per-client", Limits: ratelimit.MustParse(limits), Key: ratelimit.Global("all")}},
	})
	require.NoError(t, err)
	return serve(t, l.Handler(hello))
}

var hello = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write([]byte("ok"))
})

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

const nginxConfig = `
worker_processes 1; pid nginx.pid; error_log error.log;
events {}
http {
	access_log off;
	client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
	limit_req_zone $binary_remote_addr zone=one:1m rate=%dr/s;
	server {
		listen %s;
		root .;
		location = /page {
			limit_req zone=one burst=%d nodelay;
			limit_req_status %d;
		}
	}
}
`

// newNginx starts nginx with limit_req, and returns a URL that it limits.
func newNginx(t *testing.T, rate, burst, status int) string {
	t.Helper()
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		nginx, err = exec.LookPath("/usr/sbin/nginx")
	}
	require.NoError(t, err, "make node installs nginx")
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := free.Addr().String()
	require.NoError(t, free.Close())
	dir, err := os.MkdirTemp("", "nginx") // the workers of root are not root, and must be able to enter it
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "page"), []byte("ok"), 0o644))
	config := fmt.Sprintf(nginxConfig, rate, addr, burst, status)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(config), 0o600))
	cmd := exec.CommandContext(t.Context(), nginx, "-p", dir, "-c", "nginx.conf", "-e", "error.log", "-g", "daemon off;")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // a kill would leave the workers
	cmd.WaitDelay = 10 * time.Second
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Wait() })
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}, 20*time.Second, 20*time.Millisecond, "nginx does not listen")
	return "http://" + addr + "/page"
}
