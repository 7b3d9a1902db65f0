package outbound_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/outbound"
)

// A request is sent again only if it can be, and only if that does no harm.
func TestSentAgain(t *testing.T) {
	type request struct {
		method string
		body   io.Reader
		fields []string
	}
	once := func() io.Reader { return struct{ io.Reader }{strings.NewReader("text")} } // no GetBody
	limited := answer(429, "Retry-After", "1")
	for _, tc := range []struct {
		name    string
		request request
		first   http.HandlerFunc
		sent    int
	}{
		{"GET after 429", request{method: "GET"}, limited, 2},
		{"GET after 503", request{method: "GET"}, answer(503, "Retry-After", "1"), 2},
		{"GET after 503 that tells nothing", request{method: "GET"}, answer(503), 1},
		{"GET after 500", request{method: "GET"}, answer(500, "Retry-After", "1"), 1},
		{"GET after 200 with a wait", request{method: "GET"}, answer(200, "Retry-After", "1"), 1},
		{"GET after 404", request{method: "GET"}, answer(404), 1},
		{"PUT after 503", request{method: "PUT", body: strings.NewReader("text")}, answer(503, "Retry-After", "1"), 2},
		{"POST after 429", request{method: "POST", body: strings.NewReader("text")}, limited, 2},
		{"POST without a body after 429", request{method: "POST"}, limited, 2},
		{"POST whose body cannot be sent again", request{method: "POST", body: once()}, limited, 1},
		{"POST after 503", request{method: "POST", body: strings.NewReader("text")}, answer(503, "Retry-After", "1"), 1},
		{
			"POST with a key after 503",
			request{method: "POST", body: strings.NewReader("text"), fields: []string{"Idempotency-Key", "7"}},
			answer(503, "Retry-After", "1"), 2,
		},
		{"POST after a limit of GitHub", request{method: "POST"}, answer(403, "Retry-After", "1"), 2},
		{"GET after 403", request{method: "GET"}, answer(403), 1},
		{"the server says no", request{method: "GET"}, answer(429, "Retry-After", "1", "X-Should-Retry", "false"), 1},
		{"the server says yes", request{method: "POST", body: strings.NewReader("text")}, answer(500, "X-Should-Retry", "true"), 2},
		{"the server says yes, but the body is gone", request{method: "POST", body: once()}, answer(500, "X-Should-Retry", "true"), 1},
		{"a wait beyond MaxWait", request{method: "GET"}, answer(429, "Retry-After", "90"), 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sent := 0
				check := func(h http.HandlerFunc) http.HandlerFunc {
					return func(w http.ResponseWriter, r *http.Request) {
						sent++
						if tc.request.body != nil {
							body, err := io.ReadAll(r.Body)
							assert.NoError(t, err)
							assert.Equal(t, "text", string(body))
						}
						h(w, r)
					}
				}
				s := &server{handler: inTurn(check(tc.first), check(answer(200)))}
				tr := newTransport(t, outbound.Config{Base: s})
				r, err := http.NewRequestWithContext(t.Context(), tc.request.method, url, tc.request.body)
				require.NoError(t, err)
				for i := 0; i < len(tc.request.fields); i += 2 {
					r.Header.Set(tc.request.fields[i], tc.request.fields[i+1])
				}
				began := time.Now()
				_, err = tr.RoundTrip(r)
				require.NoError(t, err)
				assert.Equal(t, tc.sent, sent)
				if took := time.Since(began); tc.sent > 1 {
					assert.GreaterOrEqual(t, took, 500*time.Millisecond)
				} else {
					assert.Zero(t, took)
				}
			})
		})
	}
}

// A request is sent again twice, or as often as MaxRetries says.
func TestMaxRetries(t *testing.T) {
	for retries, want := range map[int]int{-1: 1, 0: 3, 1: 2, 10: 11} {
		synctest.Test(t, func(t *testing.T) {
			s := &server{handler: answer(429, "Retry-After", "1")}
			tr := newTransport(t, outbound.Config{Base: s, MaxRetries: retries})
			resp, err := get(t, tr, url)
			require.NoError(t, err)
			assert.Equal(t, 429, resp.StatusCode)
			assert.Equal(t, want, s.statuses[429])
		})
	}
}

// A body whose Close is counted.
type body struct {
	io.Reader
	closed atomic.Int32
}

func (b *body) Close() error { b.closed.Add(1); return nil }

// RoundTrip closes the body of a request that it does not send, and every response that it does not
// return.
func TestBodiesAreClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var responses []*body
		tr := newTransport(t, outbound.Config{Base: roundTripper(func(r *http.Request) (*http.Response, error) {
			b := &body{Reader: bytes.NewReader(make([]byte, 1<<20))}
			responses = append(responses, b)
			return &http.Response{StatusCode: 429, Header: http.Header{"Retry-After": {"20"}}, Body: b, Request: r}, nil
		})})
		resp, err := tr.RoundTrip(request(t, nil))
		require.NoError(t, err)
		require.Len(t, responses, 3)
		assert.Equal(t, []int32{1, 1, 0}, []int32{responses[0].closed.Load(), responses[1].closed.Load(), responses[2].closed.Load()})
		assert.NoError(t, resp.Body.Close())
		rest, err := io.ReadAll(responses[0])
		require.NoError(t, err)
		assert.Greater(t, len(rest), 1<<19, "a long response is not read to its end")

		unsent := &body{Reader: strings.NewReader("text")}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = tr.RoundTrip(request(t, unsent).WithContext(ended))
		require.Error(t, err)
		assert.EqualValues(t, 1, unsent.closed.Load())
	})
}

// If a request cannot be sent again after all, RoundTrip returns the response that denied it, and
// no error that says that it was not sent. A response that is too long to be kept is cut.
func TestResponseIsKept(t *testing.T) {
	for name, tc := range map[string]struct {
		sent, want int
		err        string
	}{
		"short": {4096, 4096, ""},
		"long":  {5000, 4097, "outbound: response cut, because its request was to be sent again"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := 0
				base := roundTripper(func(r *http.Request) (*http.Response, error) {
					n++
					return &http.Response{
						StatusCode: 503, Header: http.Header{"Retry-After": {"1"}}, Request: r,
						Body: io.NopCloser(strings.NewReader(strings.Repeat("x", tc.sent))),
					}, nil
				})
				tr := newTransport(t, outbound.Config{Base: base, Rules: []outbound.Rule{
					{Limiter: newBudgets(t, "own", "1 per hour"), Budget: "own"},
				}})
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, strings.NewReader("text"))
				require.NoError(t, err)
				resp, err := tr.RoundTrip(r)
				require.NoError(t, err)
				assert.Equal(t, 503, resp.StatusCode)
				var text bytes.Buffer
				_, err = io.Copy(&text, resp.Body)
				if tc.err == "" {
					assert.NoError(t, err)
				} else {
					assert.EqualError(t, err, tc.err)
				}
				assert.Equal(t, tc.want, text.Len())
				assert.NoError(t, resp.Body.Close())
				assert.Equal(t, 1, n)
				_, err = tr.RoundTrip(request(t, nil))
				assert.ErrorAs(t, err, new(*outbound.WaitError), "a request that was not sent at all")
			})
		})
	}
}

// A response without a body is no reason to panic.
func TestNoBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTransport(t, outbound.Config{Base: roundTripper(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 429}, nil
		})})
		resp, err := tr.RoundTrip(request(t, nil))
		require.NoError(t, err)
		assert.Equal(t, 429, resp.StatusCode)
	})
}

// Base says what is wrong with a request without a URL.
func TestNoURL(t *testing.T) {
	tr := newTransport(t, outbound.Config{})
	_, err := tr.RoundTrip(&http.Request{Method: http.MethodGet})
	assert.ErrorContains(t, err, "nil Request.URL")
}

// If the body cannot be read again after all, the error says so, and other requests go on.
func TestGetBodyFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTransport(t, outbound.Config{Base: &server{handler: inTurn(answer(429, "Retry-After", "1"), answer(200))}})
		r := request(t, io.NopCloser(strings.NewReader("text")))
		r.GetBody = func() (io.ReadCloser, error) { return nil, errors.New("the file is gone") }
		_, err := tr.RoundTrip(r)
		assert.EqualError(t, err, "outbound: GetBody: the file is gone")
		_, err = get(t, tr, url)
		assert.NoError(t, err)
	})
}
