package replay

import (
	"fmt"
	"net/http"
	"strings"
)

// inside is the handler of a route.
type inside struct{ http.Handler }

// route returns a handler that serves requests on the given routes by with(next), and others by
// next. Each login and decorator has a ServeMux of its own, so a request meets all whose routes
// match it, in the same way or in different ones.
func (e *Engine) route(
	what string, patterns []string, with func(http.Handler) http.Handler, next http.Handler,
) (http.Handler, error) {
	if len(patterns) == 0 {
		e.note(what + ": the policy names no routes for it, so it is not replayed.")
		return next, nil
	}
	mux := http.NewServeMux()
	for _, pattern := range patterns {
		if err := register(mux, pattern, inside{with(next)}); err != nil {
			return next, fmt.Errorf("%s: route %q: %w", what, pattern, err)
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, pattern := mux.Handler(r)
		if _, ok := h.(inside); !ok { // no route, or a redirect to one
			next.ServeHTTP(w, r)
			return
		}
		r.Pattern = pattern
		h.ServeHTTP(w, r)
	}), nil
}

// hasHost reports whether a pattern is for one host alone.
func hasHost(pattern string) bool {
	if _, rest, found := strings.Cut(pattern, " "); found {
		pattern = strings.TrimLeft(rest, " \t")
	}
	return !strings.HasPrefix(pattern, "/")
}

// register is ServeMux.Handle with an error instead of a panic.
func register(mux *http.ServeMux, pattern string, h http.Handler) (err error) {
	defer func() {
		if p := recover(); p != nil {
			first, _, _ := strings.Cut(fmt.Sprint(p), "\n")
			err = fmt.Errorf("%s", first)
		}
	}()
	mux.Handle(pattern, h)
	return nil
}
