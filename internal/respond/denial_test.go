package respond

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var quota = Problem{
	Type: ProblemTypes + "quota-exceeded", Status: http.StatusTooManyRequests,
	Title: "Too Many Requests", Text: "Too many requests.",
}

const violated = `,"violated-policies":["p-1"]`

// denyOnce answers r as a limiter does.
func denyOnce(w http.ResponseWriter, r *http.Request, p *Problem, wait time.Duration, extra string, buf []byte) []byte {
	d := new(Denial)
	d.Begin(w.Header(), RetryAfter(w.Header(), wait, time.Now))
	return d.Answer(w, r, p, wait, []byte(extra), buf)
}

// No cache stores a denial, even if an outer handler lets some caches store all responses.
func TestDenialIsStoredByNoCache(t *testing.T) {
	w := httptest.NewRecorder()
	for _, name := range []string{
		"CDN-Cache-Control", "Surrogate-Control", "X-Accel-Expires", "Cloudflare-CDN-Cache-Control", "Edge-Control", "Cache-Control",
	} {
		w.Header().Set(name, "max-age=3600")
	}
	w.Header().Set("X-Cache", "kept")
	denyOnce(w, httptest.NewRequest(http.MethodGet, "/", nil), &quota, time.Second, "", nil)
	assert.Equal(t, http.Header{
		"Cache-Control": {"no-store"}, "Content-Type": {"application/problem+json"}, "Retry-After": {"1"},
		"X-Content-Type-Options": {"nosniff"}, "X-Cache": {"kept"},
	}, w.Header())
}

func TestDenials(t *testing.T) {
	const retryable = `{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded",` +
		`"title":"Too Many Requests","status":429,"detail":"Too many requests. Retry after 30 seconds."`
	forbidden := Problem{Type: "about:blank", Status: http.StatusForbidden, Title: "Forbidden", Text: "Access is denied."}
	for _, tc := range []struct {
		name    string
		problem *Problem
		wait    time.Duration
		extra   string
		accept  string
		want    string
	}{
		{name: "a problem document", problem: &quota, wait: 30 * time.Second, want: retryable + "}\n"},
		{name: "with more members", problem: &quota, wait: 30 * time.Second, extra: violated, want: retryable + violated + "}\n"},
		{
			name: "text", problem: &quota, wait: 30 * time.Second, extra: violated, accept: "text/plain",
			want: "Too many requests. Retry after 30 seconds.\n",
		},
		{name: "one second", problem: &quota, wait: time.Second, accept: "text/plain", want: "Too many requests. Retry after 1 second.\n"},
		{name: "less than a second", problem: &quota, wait: 1, accept: "text/plain", want: "Too many requests. Retry after 1 second.\n"},
		{
			name: "more than a second", problem: &quota, wait: time.Second + 1, accept: "text/plain",
			want: "Too many requests. Retry after 2 seconds.\n",
		},
		{
			name: "waiting does not help", problem: &forbidden,
			want: `{"type":"about:blank","title":"Forbidden","status":403,"detail":"Access is denied."}` + "\n",
		},
		{name: "waiting does not help, text", problem: &forbidden, accept: "text/plain", want: "Access is denied.\n"},
		{
			name: "reduced capacity", problem: &ReducedCapacity, wait: 2 * time.Second,
			want: `{"type":"https://iana.org/assignments/http-problem-types#temporary-reduced-capacity",` +
				`"title":"Service Unavailable","status":503,"detail":"The service is short of capacity. Retry after 2 seconds."}` + "\n",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			want := denialHeader(tc.accept, tc.wait)
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header.Set("Accept", tc.accept)
			w := httptest.NewRecorder()
			body := denyOnce(w, r, tc.problem, tc.wait, tc.extra, nil)
			assert.Equal(t, tc.problem.Status, w.Code)
			assert.Equal(t, tc.want, w.Body.String())
			assert.Equal(t, tc.want, string(body))
			assert.Equal(t, want, w.Header())

			r.Method = http.MethodHead
			w = httptest.NewRecorder()
			body = denyOnce(w, r, tc.problem, tc.wait, tc.extra, nil)
			want["Content-Length"] = []string{strconv.Itoa(len(tc.want))}
			assert.Equal(t, tc.problem.Status, w.Code)
			assert.Empty(t, w.Body.String())
			assert.Equal(t, tc.want, string(body))
			assert.Equal(t, want, w.Header())
		})
	}
}

// denialHeader returns the header of a denial, for a client that accepts everything or text.
func denialHeader(accept string, wait time.Duration) http.Header {
	h := http.Header{
		"Cache-Control": {"no-store"}, "X-Content-Type-Options": {"nosniff"},
		"Content-Type": {"application/problem+json"},
	}
	if accept != "" {
		h["Content-Type"] = []string{"text/plain; charset=utf-8"}
	}
	if wait > 0 {
		h["Retry-After"] = []string{strconv.FormatInt(Seconds(wait), 10)}
	}
	return h
}

// An outer handler may set a Content-Length for the response that is not sent now.
func TestDenialOverTCPHasTheLengthOfItsBody(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "5")
		denyOnce(w, r, &quota, 30*time.Second, violated, nil)
	}))
	defer srv.Close()
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		r, err := http.NewRequestWithContext(t.Context(), method, srv.URL, nil)
		require.NoError(t, err)
		resp, err := srv.Client().Do(r)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, http.StatusTooManyRequests, resp.StatusCode)
		assert.Equal(t, []string{"197"}, resp.Header["Content-Length"], method)
		if method == http.MethodGet {
			assert.Len(t, body, 197)
		}
	}
}

func TestDenialKeepsALongerRetryAfter(t *testing.T) {
	w := httptest.NewRecorder()
	w.Header().Set("Retry-After", "100")
	denyOnce(w, httptest.NewRequest(http.MethodGet, "/", nil), &quota, 30*time.Second, "", nil)
	assert.Equal(t, []string{"100"}, w.Header()["Retry-After"])
}

func TestAppendingToADenialFieldLeavesTheOthers(t *testing.T) {
	w := httptest.NewRecorder()
	denyOnce(w, httptest.NewRequest(http.MethodGet, "/", nil), &quota, 30*time.Second, "", nil)
	w.Header().Add("Retry-After", "more")
	w.Header().Add("Cache-Control", "more")
	w.Header().Add("Content-Type", "more")
	assert.Equal(t, http.Header{
		"Retry-After": {"30", "more"}, "Cache-Control": {"no-store", "more"},
		"Content-Type": {"application/problem+json", "more"}, "X-Content-Type-Options": {"nosniff"},
	}, w.Header())
}

// discard is a ResponseWriter that costs nothing itself.
type discard struct{ h http.Header }

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}

// denials returns a function that denies a request with all fields and a body in used memory.
func denials(accept string) func() {
	w, r := &discard{http.Header{}}, httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Accept", accept)
	var buf []byte
	return func() {
		clear(w.h)
		d := new(Denial)
		SetDraft(w.h, `"p-1";q=2;w=60`, AppendLevel(d.Text[:0], `"p-1";r=`, 0, 30), &d.Values)
		d.Begin(w.h, RetryAfter(w.h, 30*time.Second, time.Now))
		buf = d.Answer(w, r, &quota, 30*time.Second, []byte(violated), buf[:0])
	}
}

func TestDenialAllocatesOnce(t *testing.T) {
	for _, accept := range []string{"*/*", "text/html,application/json;q=0.9,*/*;q=0.8"} {
		assert.InDelta(t, 1, testing.AllocsPerRun(100, denials(accept)), 0, accept)
	}
}

func BenchmarkDenialAnswer(b *testing.B) {
	for _, accept := range []string{"json", "text/html"} {
		b.Run(accept, func(b *testing.B) {
			deny := denials(accept)
			b.ReportAllocs()
			for b.Loop() {
				deny()
			}
		})
	}
}
