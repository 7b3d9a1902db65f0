package respond

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
)

// watched is at how many responses a handler of reportDoubled looks.
const watched = 1000

// Once is told of a problem that must be reported once, with a value by which to tell problems
// apart.
type Once func(ctx context.Context, what any, err error)

// doubled is a field that both a limiter and an inner handler of another program have sent.
type doubled struct{}

// reportDoubled returns next, and looks at its first responses. If one has a field twice, it tells
// once what to write. Only the handler right inside is known to be a proxy: behind a ServeMux or
// other middleware it is not.
func reportDoubled(next http.Handler, once Once) http.Handler {
	return &doubledWatch{next: next, once: once}
}

// A doubledWatch is the handler of reportDoubled. It is no http.HandlerFunc, which would be one
// more call for each request.
type doubledWatch struct {
	next http.Handler
	once Once
	seen atomic.Int64 // responses
}

func (d *doubledWatch) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.next.ServeHTTP(w, r)
	if d.seen.Load() < watched {
		d.look(w.Header(), r)
	}
}

func (d *doubledWatch) look(h http.Header, r *http.Request) {
	d.seen.Add(1)
	for _, name := range fieldNames {
		if lines := h[name]; len(lines) > 1 {
			d.seen.Store(watched)
			d.once(r.Context(), doubled{}, fmt.Errorf("ratelimit: a response has %d lines of %s, "+
				"because an inner handler sends this field too: clients may read either; "+
				"write MergeHeaders: true in the Config", len(lines), name))
			return
		}
	}
}
