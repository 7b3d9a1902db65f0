package shed_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/internal/refund"
	"github.com/ratelimit-go/ratelimit/shed"
)

// wholeWait returns the Retry-After of a denial, which is random, and the text that tells it.
func wholeWait(t *testing.T, w *httptest.ResponseRecorder) (secs int, text string) {
	t.Helper()
	secs, err := strconv.Atoi(w.Header().Get("Retry-After"))
	require.NoError(t, err)
	require.True(t, 1 <= secs && secs <= 3, "Retry-After: %d", secs)
	plural := "s"
	if secs == 1 {
		plural = ""
	}
	return secs, fmt.Sprintf("The service is short of capacity. Retry after %d second%s.", secs, plural)
}

func TestDeniedResponse(t *testing.T) {
	_, h := fullShedder(t, shed.Config{}, ok)
	seen := map[int]bool{}
	for range 100 {
		w := serve(h, request())
		secs, text := wholeWait(t, w)
		seen[secs] = true
		require.Equal(t, http.StatusServiceUnavailable, w.Code)
		require.Equal(t, http.Header{
			"Retry-After": {strconv.Itoa(secs)}, "Cache-Control": {"no-store"},
			"Content-Type": {"application/problem+json"}, "X-Content-Type-Options": {"nosniff"},
		}, w.Header())
		require.Equal(t, `{"type":"https://iana.org/assignments/http-problem-types#temporary-reduced-capacity",`+
			`"title":"Service Unavailable","status":503,"detail":"`+text+`"}`+"\n", w.Body.String())
	}
	assert.Equal(t, map[int]bool{1: true, 2: true, 3: true}, seen)
}

func TestDeniedResponseAsText(t *testing.T) {
	_, h := fullShedder(t, shed.Config{}, ok)
	w := serve(h, request("Accept", "text/html"))
	_, text := wholeWait(t, w)
	assert.Equal(t, "text/plain; charset=utf-8", w.Header().Get("Content-Type"))
	assert.Equal(t, text+"\n", w.Body.String())
}

func TestDeniedHead(t *testing.T) {
	_, h := fullShedder(t, shed.Config{}, ok)
	r := request("Accept", "text/html")
	r.Method = http.MethodHead
	w := serve(h, r)
	_, text := wholeWait(t, w)
	assert.Zero(t, w.Body.Len())
	assert.Equal(t, strconv.Itoa(len(text)+1), w.Header().Get("Content-Length"))
}

func TestDenyHandlerAndOnDenied(t *testing.T) {
	var denied []shed.Priority
	var waits []time.Duration
	var reported []error
	s, h := fullShedder(t, shed.Config{
		OnDenied: func(_ *http.Request, p shed.Priority) { denied = append(denied, p); panic("in OnDenied") },
		OnError:  func(_ context.Context, err error) { reported = append(reported, err) },
		Priority: func(*http.Request) shed.Priority { panic("in Priority") },
		DenyHandler: func(w http.ResponseWriter, _ *http.Request, retryAfter time.Duration) {
			assert.Len(t, denied, 1, "OnDenied is first")
			waits = append(waits, retryAfter)
			w.WriteHeader(http.StatusTeapot)
		},
	}, ok)
	reported = nil // the request that fills the shedder
	w := serve(h, request())
	secs, _ := wholeWait(t, w)
	assert.Equal(t, http.StatusTeapot, w.Code)
	assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	assert.Empty(t, w.Header().Get("Content-Type"))
	assert.Empty(t, w.Body.String())
	assert.Equal(t, []shed.Priority{shed.Normal}, denied)
	assert.Equal(t, []time.Duration{time.Duration(secs) * time.Second}, waits)
	assert.EqualValues(t, 1, s.Stats().Shed[shed.Normal])
	require.Len(t, reported, 2)
	assert.EqualError(t, reported[0], "shed: Priority: panic: in Priority")
	assert.EqualError(t, reported[1], "shed: OnDenied: panic: in OnDenied")
}

func TestOnDeniedIsGivenAKnownPriority(t *testing.T) {
	var denied []shed.Priority
	_, h := fullShedder(t, shed.Config{
		Priority: byHeader,
		OnDenied: func(_ *http.Request, p shed.Priority) { denied = append(denied, p) },
	}, ok)
	for _, p := range []shed.Priority{-100, shed.Sheddable, shed.Normal, shed.Critical, 100} {
		serve(h, prioritized(p))
	}
	assert.Equal(t, []shed.Priority{shed.Sheddable, shed.Sheddable, shed.Normal, shed.Critical, shed.Critical}, denied)
}

func TestLongerRetryAfterOfAnOuterHandlerStays(t *testing.T) {
	_, h := fullShedder(t, shed.Config{}, ok)
	for _, longer := range []string{"60", time.Now().Add(time.Minute).UTC().Format(http.TimeFormat)} {
		w := httptest.NewRecorder()
		w.Header().Set("Retry-After", longer)
		h.ServeHTTP(w, request())
		assert.Equal(t, []string{longer}, w.Header()["Retry-After"])
	}
}

// charge is the context of a request that an outer limiter charged.
type charge struct {
	context.Context
	refunds int
}

func (c *charge) Value(key any) any {
	if key == (refund.Key{}) {
		return c
	}
	return c.Context.Value(key)
}

func (c *charge) Refund()                { c.refunds++ }
func (c *charge) Outer() context.Context { return c.Context }

func TestDeniedRequestIsRefunded(t *testing.T) {
	outer := &charge{Context: t.Context()}
	inner := &charge{Context: outer}
	var seen int
	_, h := fullShedder(t, shed.Config{OnDenied: func(*http.Request, shed.Priority) { seen = outer.refunds }}, ok)
	assert.Equal(t, http.StatusServiceUnavailable, serve(h, request().WithContext(inner)).Code)
	assert.Equal(t, 1, inner.refunds)
	assert.Equal(t, 1, outer.refunds)
	assert.Equal(t, 1, seen, "before OnDenied")
}

func TestAllowedRequestIsNotRefunded(t *testing.T) {
	c := &charge{Context: t.Context()}
	s := newShedder(t, shed.Config{MaxInFlight: 1})
	assert.Equal(t, http.StatusOK, serve(s.Handler(ok), request().WithContext(c)).Code)
	assert.Zero(t, c.refunds)
}

// discard is a ResponseWriter that costs nothing itself.
type discard struct{ h http.Header }

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}

func TestDeniedRequestAllocatesOnce(t *testing.T) {
	_, h := fullShedder(t, shed.Config{Priority: byHeader, OnDenied: func(*http.Request, shed.Priority) {}}, ok)
	w, r := &discard{http.Header{}}, prioritized(shed.Normal)
	assert.InDelta(t, 1, testing.AllocsPerRun(100, func() {
		clear(w.h)
		h.ServeHTTP(w, r)
	}), 0)
}
