package scenarios_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ratelimit-go/ratelimit/adapters/ginlimit"
)

var ginFramework = framework{
	name: "gin",
	start: func(t testing.TB, s site) string {
		engine := newGin()
		for _, m := range s.use {
			engine.Use(ginlimit.Wrap(m))
		}
		engine.Use(renderGin)
		for _, rt := range s.routes {
			handlers := gin.HandlersChain{}
			for _, m := range rt.with {
				handlers = append(handlers, ginlimit.Wrap(m))
			}
			handlers = append(handlers, renderGin, func(c *gin.Context) {
				if err := rt.do(ginExchange{c}); err != nil {
					_ = c.Error(err)
				}
			})
			engine.Handle(rt.method, colons(rt.path), handlers...)
		}
		return serve(t, engine)
	},
	ways: []way{
		{"c.String", func(x exchange, status int) error { return x.Text(status, "failed") }},
		{"c.JSON", ginWay(func(c *gin.Context, status int) { c.JSON(status, gin.H{"a": 1}) })},
		{"c.Status", ginWay(func(c *gin.Context, status int) { c.Status(status) })},
		{"two statuses", ginWay(func(c *gin.Context, status int) { c.Status(200); c.Status(status) })},
		{"c.AbortWithStatus", ginWay(func(c *gin.Context, status int) { c.AbortWithStatus(status) })},
		{"c.AbortWithStatusJSON", ginWay(func(c *gin.Context, status int) {
			c.AbortWithStatusJSON(status, gin.H{"a": 1})
		})},
		{"c.AbortWithError", ginWay(func(c *gin.Context, status int) {
			_ = c.AbortWithError(status, errors.New("failed"))
		})},
		{"c.Error, rendered by middleware", func(_ exchange, status int) error { return statusError(status) }},
	},
}

func newGin() *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.HandleMethodNotAllowed = true
	engine.Use(gin.CustomRecoveryWithWriter(io.Discard, func(c *gin.Context, _ any) {
		c.AbortWithStatus(http.StatusInternalServerError)
	}))
	return engine
}

// statusError is an error that the middleware of an application renders.
type statusError int

func (e statusError) Error() string { return http.StatusText(int(e)) }

func renderGin(c *gin.Context) {
	c.Next()
	var status statusError
	if len(c.Errors) > 0 && errors.As(c.Errors.Last().Err, &status) && !c.Writer.Written() {
		c.JSON(int(status), gin.H{"error": status.Error()})
	}
}

func ginWay(f func(*gin.Context, int)) func(exchange, int) error {
	return func(x exchange, status int) error {
		f(x.(ginExchange).c, status)
		return nil
	}
}

// colons returns a path in the notation of most frameworks.
func colons(path string) string { return strings.NewReplacer("{", ":", "}", "").Replace(path) }

type ginExchange struct{ c *gin.Context }

func (x ginExchange) Context() context.Context     { return x.c.Request.Context() }
func (x ginExchange) Param(name string) string     { return x.c.Param(name) }
func (x ginExchange) SetHeader(name, value string) { x.c.Header(name, value) }
func (x ginExchange) Body() string                 { return readAll(x.c.Request.Body) }
func (x ginExchange) Form(name string) string      { return x.c.PostForm(name) }
func (x ginExchange) Nothing() error               { return nil }

func (x ginExchange) Empty(status int) error {
	x.c.Status(status)
	return nil
}

func (x ginExchange) Text(status int, body string) error {
	x.c.String(status, "%s", body)
	return nil
}

func (x ginExchange) Stream(first string, more <-chan struct{}, rest string) error {
	return stream(x.c.Writer, first, more, rest)
}

func (x ginExchange) Hijack(first string, more <-chan struct{}) error {
	return hijack(x.c.Writer, first, more)
}
