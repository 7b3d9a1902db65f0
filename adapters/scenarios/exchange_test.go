package scenarios_test

import (
	"context"
	"net/http"
	"testing"
)

// A decorator is what this library is made of.
type decorator = func(http.Handler) http.Handler

// An exchange is a request and its response as a handler of any framework sees them.
type exchange interface {
	Context() context.Context
	Param(name string) string
	Body() string
	Form(name string) string // a field of a posted form
	SetHeader(name, value string)
	// Text answers with a body, in the usual way of the framework.
	Text(status int, body string) error
	// Empty answers with a status only.
	Empty(status int) error
	// Nothing ends the handler as a success of the framework is without a body, without a status.
	Nothing() error
	// Stream sends first, waits for more, and sends rest.
	Stream(first string, more <-chan struct{}, rest string) error
	// Hijack takes the connection, answers 101 and first, waits for more, and closes it.
	Hijack(first string, more <-chan struct{}) error
}

// A route is a handler on a path in the notation of ServeMux, behind middleware.
type route struct {
	method, path string
	with         []decorator
	do           func(exchange) error
}

// A site is a service that each framework can build.
type site struct {
	use    []decorator // around all routes
	routes []route
}

// A way is one of the ways in which a framework can answer a failure.
type way struct {
	name string
	fail func(x exchange, status int) error
}

// A framework builds sites.
type framework struct {
	name  string
	start func(t testing.TB, s site) string // returns the URL; panics of handlers answer 500
	ways  []way
}

var frameworks = []framework{ginFramework, echo5Framework, echo4Framework, fiberFramework}

// get returns a site with one route.
func get(path string, do func(exchange) error, with ...decorator) site {
	return site{routes: []route{{http.MethodGet, path, with, do}}}
}

func ok(x exchange) error { return x.Text(http.StatusOK, "ok") }
