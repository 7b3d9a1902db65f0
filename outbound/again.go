package outbound

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

const (
	// maxKept bounds the bytes of a response that are kept while its request is sent again.
	maxKept = 4 << 10
	// maxRead bounds the time to read them.
	maxRead = 100 * time.Millisecond
)

// again reports whether to send the request again after this response.
func (c *call) again(resp *http.Response, a answer, attempt int) bool {
	if attempt >= c.cfg.MaxRetries || a.ShouldNotRetry || resp.StatusCode < 400 || !c.repeatable() {
		return false
	}
	switch {
	case resp.StatusCode == http.StatusTooManyRequests:
	case resp.StatusCode == http.StatusForbidden && a.denied():
	case resp.StatusCode == http.StatusServiceUnavailable && a.denied() && c.idempotent():
	case a.ShouldRetry:
	default:
		return false
	}
	now := time.Now()
	return c.req.Context().Err() == nil && !now.Add(c.backOffTime(a, attempt)).After(c.deadline) &&
		!c.lane.waitsUntil(now).After(c.deadline)
}

// repeatable reports whether the body can be sent again.
func (c *call) repeatable() bool {
	return c.req.Body == nil || c.req.Body == http.NoBody || c.req.GetBody != nil
}

// idempotent reports whether the server may process the request twice, by the rules of
// [http.Transport].
func (c *call) idempotent() bool {
	switch c.req.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace,
		http.MethodPut, http.MethodDelete:
		return true
	}
	return c.req.Header.Get("Idempotency-Key") != "" || c.req.Header.Get("X-Idempotency-Key") != ""
}

// copy returns the request for an attempt: a clone with a new body, except for the first.
func (c *call) copy(attempt int) (*http.Request, error) {
	if attempt == 0 {
		return c.req, nil
	}
	req := c.req.Clone(c.req.Context())
	if c.req.GetBody != nil && c.req.Body != nil && c.req.Body != http.NoBody {
		body, err := c.req.GetBody()
		if err != nil {
			return nil, fmt.Errorf("outbound: GetBody: %w", err)
		}
		req.Body = body
	}
	return req, nil
}

// backOffTime returns how long this request alone waits before it is sent again. After a denial all
// requests wait for the server.
func (c *call) backOffTime(a answer, attempt int) time.Duration {
	if a.denied() || a.HasRetryAfter {
		return 0
	}
	wait := firstBackoff / 2 << attempt
	return wait + jitterOf(50*wait)/2
}

// backOff waits before a request is sent again.
func (c *call) backOff(a answer, attempt int) error {
	wait := c.backOffTime(a, attempt)
	if wait == 0 {
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-c.req.Context().Done():
		return c.req.Context().Err()
	}
}

// keep reads a short response into memory, so that its connection can be used again, and RoundTrip
// can still return it. A server that sends more, or does not send the rest, loses the connection
// instead.
func keep(resp *http.Response) {
	body := resp.Body
	if body == nil { // http.Client allows it too
		return
	}
	closeBody := sync.OnceFunc(func() { _ = body.Close() })
	defer closeBody()
	timer := time.AfterFunc(maxRead, closeBody) // ends a Read that waits
	defer timer.Stop()
	text, err := io.ReadAll(io.LimitReader(body, maxKept+1))
	resp.Body = &kept{text, err != nil || len(text) > maxKept}
}

var errCut = errors.New("outbound: response cut, because its request was to be sent again")

// kept is the body of a response, or its beginning.
type kept struct {
	text []byte
	cut  bool
}

// Read implements io.Reader.
func (k *kept) Read(p []byte) (int, error) {
	if len(k.text) == 0 {
		if k.cut {
			return 0, errCut
		}
		return 0, io.EOF
	}
	n := copy(p, k.text)
	k.text = k.text[n:]
	return n, nil
}

// Close implements io.Closer.
func (k *kept) Close() error { return nil }
