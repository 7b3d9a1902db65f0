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
	var seen atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r)
		if seen.Load() >= watched {
			return
		}
		seen.Add(1)
		for _, name := range fieldNames {
			if lines := w.Header()[name]; len(lines) > 1 {
				seen.Store(watched)
				once(r.Context(), doubled{}, fmt.Errorf("ratelimit: a response has %d lines of %s, "+
					"because an inner handler sends this field too: clients may read either; "+
					"write MergeHeaders: true in the Config", len(lines), name))
				return
			}
		}
	})
}
