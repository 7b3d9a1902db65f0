package clients

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

const cacheConfig = `
worker_processes 1; pid nginx.pid; error_log error.log;
events {}
http {
	access_log off;
	client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
	proxy_cache_path cache keys_zone=shared:1m;
	server {
		listen %s;
		location / {
			proxy_pass %s;
			proxy_cache shared;
			add_header X-Cache $upstream_cache_status;
		}
	}
}
`

// newCache starts nginx as a shared cache in front of h, and returns its URL.
func newCache(t *testing.T, h http.Handler) string {
	t.Helper()
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		nginx, err = exec.LookPath("/usr/sbin/nginx")
	}
	require.NoError(t, err, "make clients installs nginx")
	backend := httptest.NewServer(h)
	t.Cleanup(backend.Close)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := free.Addr().String()
	require.NoError(t, free.Close())
	dir, err := os.MkdirTemp("", "nginx") // the workers of root are not root, and must be able to enter it
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	config := fmt.Sprintf(cacheConfig, addr, backend.URL)
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
	return "http://" + addr
}

// getAs sends a request of a user.
func getAs(t *testing.T, url, user string) http.Header {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	r.Header.Set("X-User", user)
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
	return resp.Header
}

// The public page of a service is cached. With SharedCache no client is told about another, and the
// page is still cached. Private pages tell each client about itself.
func TestSharedCacheTellsNoClientAboutAnother(t *testing.T) {
	service := func(shared bool) http.Handler {
		l, err := ratelimit.New(ratelimit.Config{SharedCache: shared, Rules: []ratelimit.Rule{{
			Name: "user", Limits: ratelimit.MustParse("5 per hour"),
			Key: ratelimit.ByUser(func(r *http.Request) string { return r.Header.Get("X-User") }),
		}}})
		require.NoError(t, err)
		return l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", strings.TrimPrefix(r.URL.Path, "/")+", max-age=60")
		}))
	}
	for _, shared := range []bool{false, true} {
		t.Run(fmt.Sprintf("SharedCache %v", shared), func(t *testing.T) {
			cache := newCache(t, service(shared))
			alice, bob := getAs(t, cache+"/public", "alice"), getAs(t, cache+"/public", "bob")
			assert.Equal(t, []string{"MISS", "HIT"}, []string{alice.Get("X-Cache"), bob.Get("X-Cache")})
			if shared {
				assert.Empty(t, alice.Get("RateLimit")+alice.Get("RateLimit-Policy"))
			}
			assert.Equal(t, !shared, bob.Get("RateLimit") != "", "what is left for alice, told to bob")

			alice, bob = getAs(t, cache+"/private", "alice"), getAs(t, cache+"/private", "bob")
			assert.Equal(t, []string{"MISS", "MISS"}, []string{alice.Get("X-Cache"), bob.Get("X-Cache")})
			assert.Contains(t, alice.Get("RateLimit"), `"user";r=3;`)
			assert.Contains(t, bob.Get("RateLimit"), `"user";r=4;`)
		})
	}
}
