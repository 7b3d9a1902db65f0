package replay

import (
	"iter"
	"net/http"
	"time"
)

// A carrier carries requests through the handler, one after another: each up to its end in the
// program, and in a second step through the rest. It is a coroutine, so that everything runs one
// after another. It is used again, because a new one has a small stack, and growing it for each
// request took a sixth of the time (BenchmarkReplay/caddy).
type carrier struct {
	end     time.Time // of the request
	order   int64     // of the requests
	visit   *visit
	request *http.Request
	answer  answer
	step    func() (held, ok bool)
	stop    func()
}

func newCarrier(h http.Handler) *carrier {
	c := &carrier{answer: answer{http.Header{}}}
	c.step, c.stop = iter.Pull(func(yield func(held bool) bool) {
		for {
			c.visit.hold = func() { yield(true) }
			h.ServeHTTP(&c.answer, c.request)
			if !yield(false) {
				return
			}
		}
	})
	return c
}

// begin serves a request up to its end in the program. It returns false if it is served in full,
// because it was denied.
func (c *carrier) begin(v *visit, r *http.Request) bool {
	clear(c.answer.header)
	c.visit, c.request = v, r
	held, _ := c.step()
	return held
}

// finish serves the rest of a request.
func (c *carrier) finish() {
	c.step()
	c.visit, c.request = nil, nil
}
