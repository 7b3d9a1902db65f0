// Package refund carries what a limiter charged for a request in its context, and refunds it.
package refund

import (
	"context"
	"net/http"
)

// A Charge is what one limiter charged for a request. The limiter puts it into the context of the
// request, as the value of [Key].
type Charge interface {
	// Refund refunds the charge. It refunds nothing if it was called before or the request has
	// been answered. It must be safe for concurrent use: http.TimeoutHandler answers while the
	// inner handler is still running.
	Refund()
	// Outer is the context that the limiter was given. Outer limiters have put their charges there.
	Outer() context.Context
}

// Key is the type of the context key under which the innermost Charge is found.
type Key struct{}

// From returns the Charge of the innermost limiter, or nil if no limiter charged the request.
func From(ctx context.Context) Charge {
	c, _ := ctx.Value(Key{}).(Charge)
	return c
}

// All refunds what every outer limiter charged for the request with this context, innermost first.
func All(ctx context.Context) {
	for c := From(ctx); c != nil; c = From(c.Outer()) {
		c.Refund()
	}
}

// HandBack copies to r what net/http reads from it after the handler has served given, a copy of r:
// the multipart form, to remove its files, and the pattern that an inner mux has matched.
func HandBack(r, given *http.Request) {
	if r.MultipartForm == nil {
		r.MultipartForm = given.MultipartForm
	}
	r.Pattern = given.Pattern
}
