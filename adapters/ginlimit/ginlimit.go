// Package ginlimit runs a ratelimit.Limiter, and every other func(http.Handler) http.Handler of the
// library, as a middleware of gin.
//
//	limiter, err := ratelimit.New(ratelimit.Config{...})
//	guard, err := login.New(limiter, login.Config{...})
//	...
//	router.Use(ginlimit.Handler(limiter))
//	router.GET("/items/:id", ginlimit.Wrap(limiter.Limit("10 per minute")), item)
//	router.POST("/login", ginlimit.Wrap(guard.Handler), checkPassword)
//
// The limiter settles when the handlers of gin have ended, by the status that the client gets. gin
// sends a status late. If the rules of a request depend on the response, the middleware sends a
// status that the handlers have only set.
//
// A handler finds the decision in the context of its request:
//
//	d, ok := ratelimit.DecisionFrom(c.Request.Context())
//
// If a handler only calls [gin.Context.Error], a middleware has to render the error. Register that
// middleware after the limiter. If it is registered before the limiter, the limiter does not see
// the response: the request counts as a failure, and that is reported.
package ginlimit

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/ratelimit-go/ratelimit"
)

// Handler returns the middleware that limits requests by the rules of l. It is Wrap(l.Handler).
func Handler(l *ratelimit.Limiter) gin.HandlerFunc { return Wrap(l.Handler) }

// Wrap returns middleware as a middleware of gin. It is for the decorators of a limiter, for the
// Handler of a login.Guard or a shed.Shedder, and for others of that kind. It calls middleware
// once, not once per request.
//
// The pattern of the request is the path of the route, such as "/items/:id", without a method. So
// ratelimit.ByPattern counts by route. The path parameters are the path values of the request that
// middleware sees, and the functions of a limiter. A limiter without such functions does not need
// them, so they are not set. Handlers of gin read [gin.Context.Param].
//
// If middleware does not call its next handler, the handlers of gin that follow do not run.
// Middleware must call it once at most, before it returns, in the same goroutine. The writer that
// it passes on must be the writer it was given, or have a method Unwrap that leads to it. Otherwise
// the request is answered with status 500. So http.TimeoutHandler cannot be used.
func Wrap(middleware func(http.Handler) http.Handler) gin.HandlerFunc {
	serve := through(middleware(last{}))
	return func(c *gin.Context) {
		// Without a route, there is no pattern, not even the pattern of an outer mux.
		c.Request.Pattern = c.FullPath()
		p := &passage{ResponseWriter: c.Writer, c: c}
		serve(p)
		if p.wrote { // sent here, so that no outer middleware can change it
			p.WriteHeaderNow()
		}
		if !p.passed {
			c.Abort()
		}
	}
}

// last is the next handler of every middleware.
type last struct{}

// ServeHTTP runs the handlers of gin that follow.
func (last) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := passageOf(w)
	if p == nil {
		http.Error(w, "ginlimit: a middleware changes the ResponseWriter and has no method Unwrap",
			http.StatusInternalServerError)
		return
	}
	c := p.c
	p.passed, c.Request = true, r
	if w == http.ResponseWriter(p) { // nothing around the handlers looks at the response
		c.Next()
		return
	}
	outer, errs := c.Writer, len(c.Errors)
	p.inner = writer{ResponseWriter: outer, w: w, p: p}
	c.Writer = &p.inner
	defer func() { c.Writer = outer }() // also after a panic
	c.Next()
	p.inner.end(len(c.Errors) > errs)
}
