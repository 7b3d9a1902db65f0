// Package echolimit runs a ratelimit.Limiter, and every other func(http.Handler) http.Handler of
// the library, as a middleware of echo v5.
//
//	limiter, err := ratelimit.New(ratelimit.Config{...})
//	guard, err := login.New(limiter, login.Config{...})
//	...
//	e.Use(echolimit.Handler(limiter))
//	e.GET("/items/:id", item, echolimit.Wrap(limiter.Limit("10 per minute")))
//	e.POST("/login", checkPassword, echolimit.Wrap(guard.Handler))
//
// The limiter settles when the handler has ended, by the status that the client gets. echo renders
// the error of a handler only after all middleware. If the rules of a request depend on the
// response, the middleware calls the HTTPErrorHandler itself. It still returns the error, so that
// outer middleware sees it. What echo or outer middleware then writes for the error is discarded.
//
// A handler finds the decision in the context of its request:
//
//	d, ok := ratelimit.DecisionFrom(c.Request().Context())
package echolimit

import (
	"net/http"

	"github.com/labstack/echo/v5"

	"github.com/ratelimit-go/ratelimit"
)

// Handler returns the middleware that limits requests by the rules of l. It is Wrap(l.Handler).
func Handler(l *ratelimit.Limiter) echo.MiddlewareFunc { return Wrap(l.Handler) }

// Wrap returns middleware as a middleware of echo. It is for the decorators of a limiter, for the
// Handler of a login.Guard or a shed.Shedder, and for others of that kind. It calls middleware
// once, not once per request.
//
// The pattern of the request is the path of the route, such as "/items/:id", without a method. So
// ratelimit.ByPattern counts by route. The path parameters are the path values of the request that
// middleware sees, and the functions of a limiter. A limiter without such functions does not need
// them, so they are not set. Handlers of echo read the Param of their context. Before the router,
// in Echo.Pre, there is no pattern.
//
// If middleware does not call its next handler, the handler of echo does not run. Middleware must
// call it once at most, before it returns, in the same goroutine. The writer that it passes on must
// be the writer it was given, or have a method Unwrap that leads to it. Otherwise the request is
// answered with status 500. So http.TimeoutHandler cannot be used.
func Wrap(middleware func(http.Handler) http.Handler) echo.MiddlewareFunc {
	serve := through(middleware(last{}))
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c *echo.Context) error {
			// Without a route, there is no pattern, not even the pattern of an outer mux.
			c.Request().Pattern = c.Path()
			p := &passage{w: c.Response(), c: c, next: next}
			serve(p)
			return p.err
		}
	}
}

// last is the next handler of every middleware.
type last struct{}

// ServeHTTP runs the handler of echo.
func (last) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := passageOf(w)
	if p == nil {
		http.Error(w, "echolimit: a middleware changes the ResponseWriter and has no method Unwrap",
			http.StatusInternalServerError)
		return
	}
	p.c.SetRequest(r)
	if w == http.ResponseWriter(p) { // nothing around the handler looks at the response
		p.err = p.next(p.c)
		return
	}
	outer := p.c.Response()
	p.inner = *echo.NewResponse(w, p.c.Echo().Logger)
	p.c.SetResponse(&p.inner)
	defer p.restore(outer) // also after a panic
	p.err = p.next(p.c)
	p.end()
}
