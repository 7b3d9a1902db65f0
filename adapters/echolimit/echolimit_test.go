package echolimit_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v5"
	"github.com/labstack/echo/v5/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/adapters/echolimit"
)

// Module adapters/scenarios has the tests of what all frameworks have in common.

// failures returns a limiter of failures.
func failures(t *testing.T, limits string, reports *[]string) *ratelimit.Limiter {
	rule := ratelimit.Rule{Name: "failures", Limits: ratelimit.MustParse(limits), CountOnly: ratelimit.Failures}
	hooks := ratelimit.Hooks{Error: func(_ context.Context, err error) { *reports = append(*reports, err.Error()) }}
	limiter, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{rule}, Hooks: hooks})
	require.NoError(t, err)
	return limiter
}

func get(h http.Handler, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

func newEcho() *echo.Echo {
	e := echo.New()
	e.Logger = slog.New(slog.DiscardHandler)
	return e
}

var errWrong = errors.New("wrong")

// An error is rendered once, by the handler of the application, even if that handler does not look
// whether a response was sent. Outer middleware sees the error and the status.
func TestErrorIsRenderedOnce(t *testing.T) {
	for _, limiters := range []int{1, 2} {
		var reports []string
		e := newEcho()
		var logged bytes.Buffer
		e.Logger = slog.New(slog.NewTextHandler(&logged, nil))
		e.HTTPErrorHandler = func(c *echo.Context, err error) {
			_ = c.String(http.StatusConflict, "rendered "+err.Error())
		}
		var seen []any
		e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(c *echo.Context) error {
				err := next(c)
				resp, status := echo.ResolveResponseStatus(c.Response(), err)
				seen = append(seen, errors.Is(err, errWrong), status, resp.Size, resp.Committed)
				return err
			}
		})
		for range limiters {
			e.Use(echolimit.Handler(failures(t, "1 per minute", &reports)))
		}
		e.GET("/x", func(*echo.Context) error { return errWrong })
		w := get(e, "/x")
		assert.Equal(t, http.StatusConflict, w.Code)
		assert.Equal(t, "rendered wrong", w.Body.String())
		assert.Equal(t, []any{true, 409, int64(14), true}, seen)
		assert.Empty(t, logged.String())
		assert.Equal(t, http.StatusTooManyRequests, get(e, "/x").Code)
		assert.Empty(t, reports)
	}
}

// An error handler that writes nothing leaves the response to echo. So it is not seen, and counts.
func TestErrorHandlerThatWritesNothing(t *testing.T) {
	var reports []string
	e := newEcho()
	calls := 0
	e.HTTPErrorHandler = func(*echo.Context, error) { calls++ }
	e.Use(echolimit.Handler(failures(t, "1 per minute", &reports)))
	e.GET("/x", func(*echo.Context) error { return errWrong })
	assert.Equal(t, http.StatusOK, get(e, "/x").Code)
	assert.Equal(t, 2, calls)
	assert.Equal(t, http.StatusTooManyRequests, get(e, "/x").Code)
	require.Len(t, reports, 1)
	assert.Contains(t, reports[0], "wrote no response")
}

// If no rule depends on the response, the adapter leaves errors to echo.
func TestPlainLimiterLeavesErrorsToEcho(t *testing.T) {
	limiter, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{{
		Name: "all", Limits: ratelimit.MustParse("1 per minute"),
	}}})
	require.NoError(t, err)
	e := newEcho()
	e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c *echo.Context) error {
			if next(c) != nil {
				return echo.NewHTTPError(http.StatusTeapot, "another error")
			}
			return nil
		}
	}, echolimit.Handler(limiter))
	e.GET("/x", func(*echo.Context) error { return errWrong })
	assert.Equal(t, http.StatusTeapot, get(e, "/x").Code)
	assert.Equal(t, http.StatusTooManyRequests, get(e, "/x").Code)
}

// Middleware of echo around and inside of the limiter replaces the response, too.
func TestOtherMiddleware(t *testing.T) {
	var reports []string
	e := newEcho()
	e.Use(middleware.Gzip(), echolimit.Handler(failures(t, "2 per minute", &reports)), middleware.BodyDump(
		func(*echo.Context, []byte, []byte, error) {}))
	e.GET("/x", func(*echo.Context) error { return echo.NewHTTPError(http.StatusForbidden, "no") })
	e.GET("/ok", func(c *echo.Context) error { return c.String(http.StatusOK, "ok") },
		echo.WrapMiddleware(func(h http.Handler) http.Handler { return h }))
	server := httptest.NewServer(e)
	defer server.Close()
	send := func(path string) (int, string) {
		resp, err := server.Client().Get(server.URL + path) // with gzip
		require.NoError(t, err)
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return resp.StatusCode, string(text)
	}
	for range 3 {
		status, text := send("/ok")
		assert.Equal(t, http.StatusOK, status)
		assert.Equal(t, "ok", text)
	}
	for range 2 {
		status, text := send("/x")
		assert.Equal(t, http.StatusForbidden, status)
		assert.JSONEq(t, `{"message": "no"}`, text)
	}
	status, text := send("/x")
	assert.Equal(t, http.StatusTooManyRequests, status)
	assert.Contains(t, text, "violated-policies")
	assert.Empty(t, reports)
}

// hiding is a middleware whose ResponseWriter cannot be unwrapped.
func hiding(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(struct{ http.ResponseWriter }{w}, r)
	})
}

func TestWriterWithoutUnwrap(t *testing.T) {
	for name, m := range map[string]func(http.Handler) http.Handler{
		"another writer": hiding,
		"TimeoutHandler": func(next http.Handler) http.Handler { return http.TimeoutHandler(next, time.Minute, "") },
	} {
		e := newEcho()
		e.Use(echolimit.Wrap(m))
		e.GET("/x", func(*echo.Context) error {
			t.Error("the handler has run")
			return nil
		})
		w := get(e, "/x")
		assert.Equal(t, http.StatusInternalServerError, w.Code, name)
		assert.Contains(t, w.Body.String(), "no method Unwrap", name)
	}
}

// net/http removes the files of a form that it finds in its own request.
func TestFilesOfFormsAreRemoved(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var reports []string
	e := newEcho()
	e.Use(echolimit.Handler(failures(t, "9 per minute", &reports)))
	e.POST("/x", func(c *echo.Context) error {
		assert.NoError(t, c.Request().ParseMultipartForm(1))
		files, err := os.ReadDir(os.TempDir())
		assert.NoError(t, err)
		return c.String(http.StatusOK, strings.Repeat("file", len(files)))
	})
	server := httptest.NewServer(e)
	body := "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n" +
		strings.Repeat("a", 100<<10) + "\r\n--b--\r\n"
	resp, err := server.Client().Post(server.URL+"/x", "multipart/form-data; boundary=b", strings.NewReader(body))
	require.NoError(t, err)
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	server.Close()
	assert.Equal(t, "file", string(text), "files during the request")
	files, err := os.ReadDir(os.TempDir())
	require.NoError(t, err)
	assert.Empty(t, files, "files afterwards")
}

// A client cannot make patterns by inventing paths, nor see the pattern of an outer mux.
func TestPattern(t *testing.T) {
	e := newEcho()
	e.Use(echolimit.Wrap(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Pattern", r.Pattern+" "+r.PathValue("id"))
			next.ServeHTTP(w, r)
		})
	}))
	e.Group("/v1").GET("/items/:id", func(c *echo.Context) error { return c.NoContent(http.StatusNoContent) })
	mux := http.NewServeMux()
	mux.Handle("/", e)
	assert.Equal(t, "/v1/items/:id 7", get(mux, "/v1/items/7").Header().Get("X-Pattern"))
	first, second := get(mux, "/v1/other/7"), get(mux, "/v1/other/8")
	assert.Equal(t, first.Header(), second.Header())
	assert.NotContains(t, first.Header().Get("X-Pattern"), "other")
}

// The framework takes every status for the final one, so a middleware must not send others.
func TestInformationalStatus(t *testing.T) {
	engine := newEcho()
	engine.Use(echolimit.Wrap(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			if r.URL.Path == "/denied" {
				w.WriteHeader(http.StatusTooManyRequests)
				return
			}
			next.ServeHTTP(w, r)
		})
	}))
	engine.GET("/x", func(c *echo.Context) error { return c.String(http.StatusOK, "ok") })
	assert.Equal(t, http.StatusOK, get(engine, "/x").Code)
	assert.Equal(t, http.StatusTooManyRequests, get(engine, "/denied").Code)
}
