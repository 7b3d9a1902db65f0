package echo4limit

import "net/http"

// A limiter is the handler of a ratelimit.Limiter, or of one of its decorators. It tells what it
// does with a request. If only the limiter sees a request, that gets no path values: they cost two
// allocations.
type limiter interface {
	http.Handler
	// Next returns the handler that the limiter calls.
	Next() http.Handler
	// ServeCopy serves the request that c returns.
	ServeCopy(c interface {
		Copy(shown, lasts bool) (http.ResponseWriter, *http.Request)
	})
}

// through returns how a request goes through chain, which has last at its end. A limiter without
// anything else around last is told how to get the request.
func through(chain http.Handler) func(p *passage) {
	if l, ok := chain.(limiter); ok && l.Next() == http.Handler(last{}) {
		return func(p *passage) { l.ServeCopy(p) }
	}
	return func(p *passage) { chain.ServeHTTP(p, p.Whole(p.c.Request())) }
}

// Copy returns the request for a limiter. If shown, a function of the user may see the request. If
// lasts, the limiter does something when the handler has ended: a function may see the response,
// which leads to the request.
func (p *passage) Copy(shown, lasts bool) (http.ResponseWriter, *http.Request) {
	r := p.c.Request()
	if shown || lasts {
		r = p.Whole(r)
	}
	return p, r
}

// Whole returns r with its path values. The limiter calls it for a request that it denies, and if a
// hook was added meanwhile.
func (p *passage) Whole(r *http.Request) *http.Request {
	values := p.c.ParamValues()
	for i, name := range p.c.ParamNames() {
		if i < len(values) && r.PathValue(name) != values[i] {
			r.SetPathValue(name, values[i])
		}
	}
	return r
}
