package shed

import (
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/refund"
	"github.com/ratelimit-go/ratelimit/internal/respond"
)

// A denial is what a response points to, and its body. The default body takes 197 bytes, so
// a denied request allocates once.
type denial struct {
	respond.Denial
	body [224]byte
}

func (c *settings) deny(w http.ResponseWriter, r *http.Request, p Priority) {
	refund.All(r.Context())
	if c.OnDenied != nil {
		c.reporter.Call(r.Context(), "OnDenied", func() error { c.OnDenied(r, p); return nil })
	}
	wait := time.Duration(1+rand.IntN(3)) * time.Second
	d := new(denial)
	d.Begin(w.Header(), respond.RetryAfter(w.Header(), wait, time.Now))
	if c.DenyHandler != nil {
		c.DenyHandler(w, r, wait)
		return
	}
	d.Answer(w, r, &respond.ReducedCapacity, wait, nil, d.body[:0])
}
