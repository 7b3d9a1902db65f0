package ginlimit_test

import (
	"bytes"
	"net/http"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/adapters/ginlimit"
)

// A compressor does what gin-contrib/gzip does: it announces an encoding, and takes that back at
// the first byte of a failure, which it does not encode.
type compressor struct{ gin.ResponseWriter }

func (w compressor) Write(b []byte) (int, error) {
	if w.Status() >= http.StatusBadRequest {
		w.Header().Del("Content-Encoding")
		return w.ResponseWriter.Write(b)
	}
	n, err := w.ResponseWriter.Write(bytes.ToUpper(b))
	return n, err
}

func (w compressor) WriteString(s string) (int, error) { return w.Write([]byte(s)) }

// compress is a middleware of compressors.
func compress(c *gin.Context) {
	c.Header("Content-Encoding", "upper")
	c.Writer = compressor{c.Writer}
	c.Next()
}

// Outer middleware can change the fields of a response until the first byte of its body, as without
// a limiter: of a denial, and of a response that decides.
func TestOuterCompressor(t *testing.T) {
	var reports []string
	plain := func() *ratelimit.Limiter {
		l, err := ratelimit.New(ratelimit.Config{
			Rules: []ratelimit.Rule{{Name: "plain", Limits: ratelimit.MustParse("3 per minute")}},
		})
		require.NoError(t, err)
		return l
	}
	for name, limiters := range map[string][]*ratelimit.Limiter{
		"plain":                 {plain()},
		"by the response":       {failures(t, "1 per minute", &reports)},
		"two by the response":   {failures(t, "1 per minute", &reports), failures(t, "5 per minute", &reports)},
		"by the response below": {plain(), failures(t, "1 per minute", &reports)},
	} {
		engine := gin.New()
		engine.Use(compress)
		for _, l := range limiters {
			engine.Use(ginlimit.Handler(l))
		}
		engine.GET("/ok", func(c *gin.Context) { c.String(http.StatusOK, "fine") })
		engine.GET("/bad", func(c *gin.Context) {
			assert.False(t, c.Writer.Written(), name)
			c.String(http.StatusNotFound, "none")
			assert.True(t, c.Writer.Written(), name)
		})
		w := get(engine, "/ok")
		assert.Equal(t, []any{200, "upper", "FINE"}, []any{w.Code, w.Result().Header.Get("Content-Encoding"), w.Body.String()}, name)
		w = get(engine, "/bad")
		assert.Equal(t, []any{404, "", "none"}, []any{w.Code, w.Result().Header.Get("Content-Encoding"), w.Body.String()}, name)
		for w.Code == http.StatusNotFound {
			w = get(engine, "/bad")
		}
		assert.Equal(t, []any{429, ""}, []any{w.Code, w.Result().Header.Get("Content-Encoding")}, name)
		assert.Contains(t, w.Body.String(), "Too Many Requests", name)
	}
	assert.Empty(t, reports)
}

// The status that a middleware has written stands, even if it wrote no body and outer middleware
// sets another one afterwards.
func TestStatusWithoutABodyStands(t *testing.T) {
	limiter, err := ratelimit.New(ratelimit.Config{
		Rules:       []ratelimit.Rule{{Name: "all", Limits: ratelimit.MustParse("1 per minute")}},
		DenyHandler: func(w http.ResponseWriter, _ *http.Request, _ ratelimit.Decision) { w.WriteHeader(429) },
	})
	require.NoError(t, err)
	engine := gin.New()
	engine.Use(func(c *gin.Context) {
		c.Next()
		c.Status(http.StatusOK)
	}, ginlimit.Handler(limiter))
	engine.GET("/x", func(c *gin.Context) { c.String(http.StatusOK, "fine") })
	assert.Equal(t, 200, get(engine, "/x").Code)
	assert.Equal(t, 429, get(engine, "/x").Code)
}
