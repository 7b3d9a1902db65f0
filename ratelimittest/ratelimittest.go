// Package ratelimittest helps to test services that limit the rate of requests.
//
//	func TestLogin(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) {
//			h := newService() // makes its limiter here, inside the bubble
//			client := ratelimittest.NewClient()
//			for range 5 {
//				ratelimittest.Allowed(t, client.Do(h, http.MethodPost, "/login"))
//			}
//			wait := ratelimittest.Denied(t, client.Do(h, http.MethodPost, "/login"))
//			time.Sleep(wait)
//			ratelimittest.Allowed(t, client.Do(h, http.MethodPost, "/login"))
//		})
//	}
//
// A limiter needs no fake clock: inside a bubble of [testing/synctest] a wait of a day takes no
// time. See docs/testing-your-service.md.
package ratelimittest

import (
	"encoding/binary"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

// A Client sends requests from an address of its own. Requests of [httptest.NewRequest] all come
// from one address, so tests that share a limiter would share its buckets. Its methods are safe for
// concurrent use as long as no field changes. Create it with [NewClient], or set Addr.
type Client struct {
	// Addr is the address of the client.
	Addr netip.Addr
	// Header is added to each request.
	Header http.Header
}

// clients counts the addresses that were given out, so that no two tests share one.
var clients atomic.Uint32

// NewClient returns a Client with an address that no other Client of this process has. It is from
// 198.18.0.0/15, which is for tests (RFC 2544). After 131,072 clients addresses are used again.
// NewClient is safe for concurrent use.
func NewClient() *Client {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], 198<<24|18<<16|clients.Add(1)&(1<<17-1))
	return &Client{Addr: netip.AddrFrom4(b), Header: http.Header{}}
}

// Request returns a request of c for a server, like [httptest.NewRequest] without a body. Set Body
// and ContentLength for a request with a body. It panics if method or target is not valid.
func (c *Client) Request(method, target string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	r.RemoteAddr = netip.AddrPortFrom(c.Addr, 40000).String()
	for name, values := range c.Header {
		name = http.CanonicalHeaderKey(name) // as a server reads it
		r.Header[name] = append(r.Header[name], values...)
	}
	return r
}

// Do sends a request of c to h and returns the response.
func (c *Client) Do(h http.Handler, method, target string) *http.Response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, c.Request(method, target))
	return w.Result()
}

// Allowed fails the test if a limiter has denied the request of res: if its status is 429 or 503,
// or it has a Retry-After.
func Allowed(t testing.TB, res *http.Response) {
	t.Helper()
	status, wait := res.StatusCode, res.Header.Get("Retry-After")
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable || wait != "" {
		t.Errorf("the request was denied: status %s, Retry-After %q", res.Status, wait)
	}
}

// Denied fails the test if res is not the answer to a denied request: status 429 and, unless the
// request can never be allowed, a Retry-After in seconds. Denied returns how long to wait, or 0.
func Denied(t testing.TB, res *http.Response) time.Duration {
	t.Helper()
	if res.StatusCode != http.StatusTooManyRequests {
		t.Errorf("the request was not denied: status %s, want 429", res.Status)
		return 0
	}
	text := res.Header.Get("Retry-After")
	if text == "" {
		return 0
	}
	seconds, err := strconv.Atoi(text)
	if err != nil || seconds < 1 {
		t.Errorf("Retry-After is %q: want seconds, at least 1", text)
		return 0
	}
	return time.Duration(seconds) * time.Second
}
