package ginlimit_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/adapters/ginlimit"
)

// Module adapters/scenarios has the tests of what all frameworks have in common.

// failures returns a limiter of responses with a status in statuses, or of failures.
func failures(t *testing.T, limits string, reports *[]string, statuses ...int) *ratelimit.Limiter {
	gin.SetMode(gin.ReleaseMode)
	rule := ratelimit.Rule{Name: "failures", Limits: ratelimit.MustParse(limits), CountOnly: ratelimit.Failures}
	if len(statuses) > 0 {
		rule.CountOnly = ratelimit.StatusIn(statuses...)
	}
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

// gin writes the body of its 404 when all handlers have ended. The limiter sees the status before.
func TestNoRouteKeepsItsBody(t *testing.T) {
	var reports []string
	engine := gin.New()
	engine.Use(ginlimit.Handler(failures(t, "2 per minute", &reports, http.StatusNotFound)))
	for range 2 {
		w := get(engine, "/nowhere")
		assert.Equal(t, http.StatusNotFound, w.Code)
		assert.Equal(t, "404 page not found", w.Body.String())
	}
	assert.Equal(t, http.StatusTooManyRequests, get(engine, "/nowhere").Code)
	assert.Empty(t, reports)
}

// Engine.HandleContext gives the context a writer of its own. The limiter sees the status still.
func TestHandleContext(t *testing.T) {
	var reports []string
	engine := gin.New()
	inside := func(path string) gin.HandlerFunc {
		return func(c *gin.Context) {
			c.Request.URL.Path = path
			engine.HandleContext(c)
		}
	}
	limited := ginlimit.Handler(failures(t, "2 per minute", &reports))
	engine.GET("/good", limited, inside("/ok"))
	engine.GET("/bad", limited, inside("/denied"))
	engine.GET("/ok", func(c *gin.Context) { c.String(http.StatusOK, "ok") })
	engine.GET("/denied", func(c *gin.Context) { c.String(http.StatusUnauthorized, "no") })
	for range 5 {
		w := get(engine, "/good")
		assert.Equal(t, http.StatusOK, w.Code)
		assert.Equal(t, "ok", w.Body.String())
	}
	for _, want := range []int{401, 401, 429} {
		assert.Equal(t, want, get(engine, "/bad").Code)
	}
	assert.Empty(t, reports)
}

// A middleware before the limiter may render an error. The limiter must not send a status then.
func TestErrorsRenderedOutside(t *testing.T) {
	var reports []string
	engine := gin.New()
	engine.Use(func(c *gin.Context) {
		c.Next()
		if len(c.Errors) > 0 {
			c.JSON(http.StatusConflict, gin.H{"error": c.Errors.String()})
		}
	}, ginlimit.Handler(failures(t, "2 per minute", &reports)))
	engine.GET("/x", func(c *gin.Context) { _ = c.Error(errors.New("failed")) })
	for range 2 {
		w := get(engine, "/x")
		assert.Equal(t, http.StatusConflict, w.Code)
		assert.Contains(t, w.Body.String(), "failed")
	}
	assert.Equal(t, http.StatusTooManyRequests, get(engine, "/x").Code, "it counts")
	require.Len(t, reports, 1)
	assert.Contains(t, reports[0], "wrote no response")
}

// gin's own middleware, such as its logger, finds the status and the size as always.
func TestOuterMiddlewareSeesTheResponse(t *testing.T) {
	var reports []string
	limiter := failures(t, "1 per minute", &reports)
	engine := gin.New()
	var seen []any
	engine.Use(func(c *gin.Context) {
		c.Next()
		seen = append(seen, c.Writer.Status(), c.Writer.Size(), c.Writer.Written(), c.IsAborted())
	}, ginlimit.Handler(limiter), ginlimit.Wrap(limiter.With(ratelimit.Rule{
		Name: "inner", Limits: ratelimit.MustParse("9 per minute"), CountOnly: ratelimit.Failures,
	})))
	engine.GET("/x", func(c *gin.Context) { c.String(http.StatusTeapot, "teapot") })
	get(engine, "/x")
	denied := get(engine, "/x")
	assert.Equal(t, []any{418, 6, true, false, 429, denied.Body.Len(), true, true}, seen)
}

// hiding is a middleware whose ResponseWriter cannot be unwrapped.
func hiding(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(struct{ http.ResponseWriter }{w}, r)
	})
}

func TestWriterWithoutUnwrap(t *testing.T) {
	for name, middleware := range map[string]func(http.Handler) http.Handler{
		"another writer": hiding,
		"TimeoutHandler": func(next http.Handler) http.Handler { return http.TimeoutHandler(next, time.Minute, "") },
	} {
		engine := gin.New()
		engine.Use(ginlimit.Wrap(middleware))
		engine.GET("/x", func(*gin.Context) { t.Error("the handler has run") })
		w := get(engine, "/x")
		assert.Equal(t, http.StatusInternalServerError, w.Code, name)
		assert.Contains(t, w.Body.String(), "no method Unwrap", name)
	}
}

// net/http removes the files of a form that it finds in its own request.
func TestFilesOfFormsAreRemoved(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var reports []string
	engine := gin.New()
	engine.MaxMultipartMemory = 1
	engine.Use(ginlimit.Handler(failures(t, "9 per minute", &reports)))
	engine.POST("/x", func(c *gin.Context) {
		_, err := c.FormFile("file")
		assert.NoError(t, err)
		files, err := os.ReadDir(os.TempDir())
		assert.NoError(t, err)
		c.String(http.StatusOK, "%d", len(files))
	})
	server := httptest.NewServer(engine)
	body := "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n" +
		strings.Repeat("a", 100<<10) + "\r\n--b--\r\n"
	resp, err := server.Client().Post(server.URL+"/x", "multipart/form-data; boundary=b", strings.NewReader(body))
	require.NoError(t, err)
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	server.Close()
	assert.Equal(t, "1", string(text), "files during the request")
	files, err := os.ReadDir(os.TempDir())
	require.NoError(t, err)
	assert.Empty(t, files, "files afterwards")
}

// A client cannot make patterns by inventing paths, nor see the pattern of an outer mux.
func TestPattern(t *testing.T) {
	engine := gin.New()
	engine.Use(ginlimit.Wrap(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Pattern", r.Pattern+" "+r.PathValue("id"))
			next.ServeHTTP(w, r)
		})
	}))
	engine.Group("/v1").GET("/items/:id", func(c *gin.Context) { c.Status(http.StatusNoContent) })
	mux := http.NewServeMux()
	mux.Handle("/", engine)
	assert.Equal(t, "/v1/items/:id 7", get(mux, "/v1/items/7").Header().Get("X-Pattern"))
	assert.Equal(t, " ", get(mux, "/v1/other/7").Header().Get("X-Pattern"))
}

// The framework takes every status for the final one, so a middleware must not send others.
func TestInformationalStatus(t *testing.T) {
	engine := gin.New()
	engine.Use(ginlimit.Wrap(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			if r.URL.Path == "/denied" {
				w.WriteHeader(http.StatusTooManyRequests)
				return
			}
			next.ServeHTTP(w, r)
		})
	}))
	engine.GET("/x", func(c *gin.Context) { c.String(http.StatusOK, "ok") })
	assert.Equal(t, http.StatusOK, get(engine, "/x").Code)
	assert.Equal(t, http.StatusTooManyRequests, get(engine, "/denied").Code)
}
