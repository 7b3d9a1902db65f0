// Package fiberlimit runs a ratelimit.Limiter, and every other func(http.Handler) http.Handler of
// the library, as a middleware of fiber v3.
//
//	limiter, err := ratelimit.New(ratelimit.Config{...})
//	guard, err := login.New(limiter, login.Config{...})
//	...
//	app.Use(fiberlimit.Handler(limiter))
//	app.Get("/items/:id", fiberlimit.Wrap(limiter.Limit("10 per minute")), item)
//	app.Post("/login", fiberlimit.Wrap(guard.Handler), checkPassword)
//
// fiber is not net/http. The middleware of the library gets a copy of the request, and what it
// writes is copied into fiber's response. The limiter settles when the handlers have ended, by the
// status that the client gets. If the rules of a request depend on the response, the ErrorHandler
// of the app renders an error of a handler there, and outer middleware gets no error. If a handler
// streams its body or hijacks the connection, the limiter settles when the stream or the connection
// has ended. So it is in flight until then. If a handler drops the connection without a status, the
// request has no response, and counts as a failure.
//
// A handler finds the decision in the context of c, not in c itself:
//
//	d, ok := ratelimit.DecisionFrom(c.Context())
package fiberlimit

import (
	"fmt"
	"iter"
	"net/http"

	"github.com/gofiber/fiber/v3"

	"github.com/ratelimit-go/ratelimit"
)

// Handler returns the middleware that limits requests by the rules of l. It is Wrap(l.Handler).
func Handler(l *ratelimit.Limiter) fiber.Handler { return Wrap(l.Handler) }

// Wrap returns middleware as a middleware of fiber. It is for the decorators of a limiter, for the
// Handler of a login.Guard or a shed.Shedder, and for others of that kind. It calls middleware
// once, not once per request.
//
// On a route, the pattern of the request is the path of the route, such as "/items/:id", without a
// method. So ratelimit.ByPattern counts by route. The path parameters are the path values of the
// request. In App.Use fiber does not yet know the route, so there is no pattern.
//
// If middleware does not call its next handler, the handlers of fiber that follow do not run.
// Middleware must call it once at most, before it returns, in the same goroutine, and what it
// writes afterwards is lost. The writer that it passes on must be the writer it was given, or have
// a method Unwrap that leads to it. Otherwise the request is answered with status 500. So
// http.TimeoutHandler cannot be used. A request whose target is no URL is answered with status 400.
func Wrap(middleware func(http.Handler) http.Handler) fiber.Handler {
	chain := middleware(last{})
	if l, ok := chain.(limiter); ok && l.Next() == http.Handler(last{}) {
		return wrapLimiter(l)
	}
	return func(c fiber.Ctx) error { return wait(chain, c) }
}

// wait runs chain for the request of c in a coroutine. It stops where it calls its next handler,
// and goes on when the response has ended, which may be after wait has returned.
func wait(chain http.Handler, c fiber.Ctx) error {
	p := &passage{ctx: c.RequestCtx()}
	if err := p.convert(c); err != nil {
		return fiber.ErrBadRequest
	}
	p.resume, _ = iter.Pull(func(yield func(struct{}) bool) {
		defer p.end()
		p.pause = yield
		grow()
		chain.ServeHTTP(p, &p.request)
	})
	if _, passed := p.resume(); !passed {
		p.send() // if the middleware has written fields only
		return nil
	}
	return p.next(c)
}

// grow makes the stack of a coroutine as large as a limiter needs, while there is little to copy. A
// request takes a tenth less time by it.
func grow() { touch(&[3 << 10]byte{}) }

//go:noinline
func touch(*[3 << 10]byte) {}

// last is the next handler of every middleware.
type last struct{}

// ServeHTTP runs the handlers of fiber that follow, or pauses while they run.
func (last) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := passageOf(w)
	if p == nil {
		http.Error(w, "fiberlimit: a middleware changes the ResponseWriter and has no method Unwrap",
			http.StatusInternalServerError)
		return
	}
	p.given, p.shown = r.Context(), w
	if p.passed {
		return
	}
	p.passed = true
	if p.c != nil {
		p.direct(r)
		return
	}
	p.pause(struct{}{})
	if p.panicked {
		panic(http.ErrAbortHandler) // Wrap recovers it: the first panic goes on there
	}
}

// next runs the handlers of fiber that follow. The middleware goes on when the response has ended.
func (p *passage) next(c fiber.Ctx) error {
	p.panicked = true
	defer func() {
		if p.panicked { // or the goroutine has ended
			defer func() { _ = recover() }() // the panic of last
			p.resume()
		}
	}()
	err := p.run(c)
	p.panicked = false
	if p.ctx.Response.IsBodyStream() || p.ctx.Hijacked() {
		p.ctx.SetUserValue(p, p) // so that fasthttp calls Close
		return err
	}
	p.resume()
	return err
}

// run runs the handlers of fiber that follow. If the middleware looks at the response, it renders
// their error, and shows it the response.
func (p *passage) run(c fiber.Ctx) error {
	p.send()
	c.SetContext(p.given)
	err := c.Next()
	if p.shown == http.ResponseWriter(p) {
		return err
	}
	if err != nil && c.App().ErrorHandler(c, err) != nil {
		_ = c.SendStatus(fiber.StatusInternalServerError) // it returns nil
	}
	p.show()
	return nil
}

// Close implements [io.Closer]. fasthttp closes the values of a context when the response has been
// written, or the handler of a hijacked connection has returned, or writing has failed. No
// middleware of fiber is there to recover a panic then, and the process would end.
func (p *passage) Close() (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("fiberlimit: a middleware has panicked after the response: %v", v)
		}
	}()
	p.resume()
	return nil
}
