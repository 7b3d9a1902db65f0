package shed

import (
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/refund"
)

// A body is the body of a request in flight. It measures how long the handler waits for the client,
// which says nothing about the service: else slow clients would lower the limit.
type body struct {
	io.ReadCloser
	waited atomic.Int64 // in nanoseconds; the handler may read in another goroutine
}

// Read implements [io.Reader].
func (b *body) Read(p []byte) (int, error) {
	begin := time.Now()
	defer func() { b.waited.Add(int64(time.Since(begin))) }() // also if the body panics
	return b.ReadCloser.Read(p)
}

// serveBody serves a request with a body, which has a place already.
func (s *Shedder) serveBody(c *settings, w http.ResponseWriter, r *http.Request, next http.Handler) {
	b := &body{ReadCloser: r.Body}
	began := s.now(c)
	defer func() { s.leave(c, began+time.Duration(b.waited.Load())) }()
	given := *refund.Shared(r) // the caller may still use r
	given.Body = b
	defer refund.HandBack(r, &given)
	next.ServeHTTP(w, &given)
}
