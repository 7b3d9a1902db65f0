// Package copied serves copies of requests of frameworks that are not net/http. A limiter tells
// what it does with a copy. So the adapter of the framework copies only what that needs.
package copied

import "net/http"

// A Use is what a limiter does with a request. The zero Use is to decide on it, and no more.
type Use struct {
	Shown bool // a function of the user may see the request, and keep it, or a key reads what Omits
	Lasts bool // something happens after the handler: it is in flight, or its response decides
}

// Or returns what two limiters do with a request.
func (u Use) Or(v Use) Use { return Use{u.Shown || v.Shown, u.Lasts || v.Lasts} }

// A Request makes the copy of a request for what a limiter does with it, and the writer for the
// response. If the request is nil, it is not served.
type Request = interface {
	Copy(shown, lasts bool) (http.ResponseWriter, *http.Request)
}

// A Handler is the handler that a limiter returns.
type Handler interface {
	http.Handler
	// Next returns the handler that is called for a request that is allowed.
	Next() http.Handler
	// ServeCopy serves the request that c makes.
	ServeCopy(c Request)
}

// Whole returns the request to show to a function of the user instead of r, which w answers: a
// whole one, if r is a copy that was made without that in mind.
func Whole(w http.ResponseWriter, r *http.Request) *http.Request {
	if c, ok := w.(interface {
		Whole(r *http.Request) *http.Request
	}); ok {
		return c.Whole(r)
	}
	return r
}
