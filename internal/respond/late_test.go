package respond

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
)

// sent is a ResponseWriter that keeps the header as it was sent.
type sent struct {
	header, final http.Header
	statuses      []int
}

func (s *sent) Header() http.Header { return s.header }

func (s *sent) WriteHeader(status int) {
	s.statuses = append(s.statuses, status)
	if s.final == nil && (status >= 200 || status == http.StatusSwitchingProtocols) {
		s.final = s.header.Clone()
	}
}

func (s *sent) Write(b []byte) (int, error) {
	if s.final == nil {
		s.WriteHeader(http.StatusOK)
	}
	return len(b), nil
}

func (s *sent) Flush() {
	if s.final == nil {
		s.WriteHeader(http.StatusOK)
	}
}

// serveLate serves a GET inside an outer limiter, and returns the header that was sent.
func serveLate(merge, shared bool, h http.HandlerFunc) http.Header {
	w := &sent{header: http.Header{"Ratelimit": {`"out";r=1;t=1`}, "Ratelimit-Policy": {`"out";q=9;w=9`}}}
	Late(h, merge, shared, time.Now, nil).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	w.Flush()
	return w.final
}

// However a handler begins its response, a shared cache stores no fields.
func TestLateFieldsOfSharedResponses(t *testing.T) {
	for name, tc := range map[string]struct {
		handler http.HandlerFunc
		stays   bool
	}{
		"nothing":     {func(http.ResponseWriter, *http.Request) {}, false},
		"Write":       {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(nil) }, false},
		"WriteString": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") }, false},
		"ReadFrom":    {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.Copy(w, strings.NewReader("x")) }, false},
		"Flush":       {func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() }, false},
		"404":         {statuses(404), false},
		"500":         {statuses(500), true},
		"hints, 200":  {statuses(103, 200), false},
		"hints, 500":  {statuses(103, 500), true},
		"199, 200":    {statuses(199, 200), false},
		"200, 500":    {statuses(200, 500), false},
		"500, 200":    {statuses(500, 200), true},
		"101, 200":    {statuses(101, 200), true},
	} {
		h := serveLate(false, true, tc.handler)
		assert.Equal(t, tc.stays, h.Get("RateLimit") != "", name)
		assert.Equal(t, tc.stays, h.Get("RateLimit-Policy") != "", name)
	}
}

func statuses(all ...int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for _, status := range all {
			w.WriteHeader(status)
		}
	}
}

// A reverse proxy clears the header after early hints, and then adds the fields of the backend.
func TestLateFieldsAreMerged(t *testing.T) {
	for _, tc := range []struct {
		name           string
		hints, clears  bool
		policy, levels string // of the inner limiter
		want           http.Header
	}{
		{"no inner limiter", false, false, "", "", http.Header{
			"Ratelimit": {`"out";r=1;t=1`}, "Ratelimit-Policy": {`"out";q=9;w=9`},
		}},
		{"an inner limiter", false, false, `"in";q=5;w=5`, `"in";r=2;t=2`, http.Header{
			"Ratelimit": {`"out";r=1;t=1, "in";r=2;t=2`}, "Ratelimit-Policy": {`"out";q=9;w=9, "in";q=5;w=5`},
		}},
		{"hints", true, true, "", "", http.Header{
			"Ratelimit": {`"out";r=1;t=1`}, "Ratelimit-Policy": {`"out";q=9;w=9`},
		}},
		{"hints and an inner limiter", true, true, `"in";q=5;w=5`, `"in";r=2;t=2`, http.Header{
			"Ratelimit": {`"out";r=1;t=1, "in";r=2;t=2`}, "Ratelimit-Policy": {`"out";q=9;w=9, "in";q=5;w=5`},
		}},
		{"a handler that wants no fields", false, true, "", "", http.Header{}},
	} {
		h := serveLate(true, false, func(w http.ResponseWriter, _ *http.Request) {
			if tc.hints {
				w.WriteHeader(http.StatusEarlyHints)
			}
			if tc.clears {
				clear(w.Header())
			}
			if tc.levels != "" {
				w.Header().Add("RateLimit", tc.levels)
				w.Header().Add("RateLimit-Policy", tc.policy)
			}
			w.WriteHeader(http.StatusOK)
		})
		assert.Equal(t, tc.want, h, tc.name)
	}
}

// A handler whose fields need no change gets the ResponseWriter itself. A reverse proxy never does.
func TestLateLeavesTheWriterAsItIs(t *testing.T) {
	given := func(merge, shared bool) (same bool) {
		w := &sent{header: http.Header{}}
		Late(http.HandlerFunc(func(got http.ResponseWriter, _ *http.Request) { same = got == http.ResponseWriter(w) }),
			merge, shared, time.Now, nil).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		return same
	}
	assert.True(t, given(false, false))
	assert.False(t, given(true, false))
	assert.False(t, given(false, true))
}

// An inner handler of another program that sends a field too is reported once, if the fields are
// not merged.
func TestDoubledFieldsAreReported(t *testing.T) {
	for name, tc := range map[string]struct {
		merge, shared bool
		add           string
		want          bool
	}{
		"not merged":             {add: "RateLimit", want: true},
		"not merged, in a cache": {shared: true, add: "X-RateLimit-Remaining", want: true},
		"merged":                 {merge: true, add: "RateLimit"},
		"another field":          {add: "Set-Cookie"},
	} {
		t.Run(name, func(t *testing.T) {
			var all []string
			once := func(_ context.Context, what any, err error) {
				assert.Equal(t, doubled{}, what)
				all = append(all, err.Error())
			}
			h := Late(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Cache-Control", "private")
				w.Header().Add(tc.add, "1")
				w.WriteHeader(http.StatusOK)
			}), tc.merge, tc.shared, time.Now, once)
			for range 3 {
				w := &sent{header: http.Header{"Ratelimit": {"1"}, "X-Ratelimit-Remaining": {"1"}, "Set-Cookie": {"1"}}}
				h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
			}
			if !tc.want {
				assert.Empty(t, all)
				return
			}
			assert.Equal(t, []string{"ratelimit: a response has 2 lines of " + http.CanonicalHeaderKey(tc.add) +
				", because an inner handler sends this field too: clients may read either; write MergeHeaders: true in the Config"}, all)
		})
	}
}

// After the first responses the handler looks at no more.
func TestDoubledFieldsAreLookedForAtFirst(t *testing.T) {
	told, lines := 0, []string{"1"}
	h := reportDoubled(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header()["Ratelimit"] = lines }),
		func(context.Context, any, error) { told++ })
	for range watched {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	}
	lines = []string{"1", "2"}
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	assert.Zero(t, told)
}

// able is a ResponseWriter with the rarer abilities of net/http's own.
type able struct {
	*sent
	pushed string
	conn   net.Conn
}

func (a *able) Push(target string, _ *http.PushOptions) error { a.pushed = target; return nil }

func (a *able) Hijack() (net.Conn, *bufio.ReadWriter, error) { return a.conn, nil, nil }

func TestLateWritersKeepAbilities(t *testing.T) {
	var late http.ResponseWriter
	get := httptest.NewRequest(http.MethodGet, "/", nil)
	Late(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		late = w
		assert.ErrorIs(t, w.(http.Pusher).Push("/a.css", nil), http.ErrNotSupported)
		_, _, err := w.(http.Hijacker).Hijack()
		assert.ErrorIs(t, err, http.ErrNotSupported)
		assert.Equal(t, "outer", w.Header().Get("RateLimit"))
	}), true, false, time.Now, nil).ServeHTTP(&sent{header: http.Header{"Ratelimit": {"outer"}}}, get)
	assert.IsType(t, &sent{}, late.(interface{ Unwrap() http.ResponseWriter }).Unwrap())

	conn, _ := net.Pipe()
	a := &able{sent: &sent{header: http.Header{"Ratelimit": {"outer"}, "Other": {"stays"}}}, conn: conn}
	Late(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		assert.NoError(t, w.(http.Pusher).Push("/a.css", nil))
		got, _, err := w.(http.Hijacker).Hijack()
		assert.NoError(t, err)
		assert.Same(t, conn, got)
		assert.Equal(t, http.Header{"Other": {"stays"}}, w.Header(), "a proxy writes the fields of the backend")
		w.Header().Set("RateLimit", "inner")
	}), true, false, time.Now, nil).ServeHTTP(a, get)
	assert.Equal(t, "/a.css", a.pushed)
	assert.Equal(t, http.Header{"Other": {"stays"}, "Ratelimit": {"inner"}}, a.header, "nothing is settled after it")
}

// ReadFrom settles the fields with the first byte. A source that fails at once leaves them.
func TestLateWritersReadFrom(t *testing.T) {
	w := &sent{header: http.Header{"Ratelimit": {"outer"}}}
	Late(http.HandlerFunc(func(late http.ResponseWriter, _ *http.Request) {
		_, err := late.(io.ReaderFrom).ReadFrom(iotest.ErrReader(io.ErrUnexpectedEOF))
		assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
		assert.Empty(t, w.statuses, "the handler can still send an error")
		n, err := late.(io.ReaderFrom).ReadFrom(strings.NewReader("x"))
		assert.NoError(t, err)
		assert.EqualValues(t, 1, n)
		assert.Equal(t, []int{http.StatusOK}, w.statuses)
		assert.Empty(t, w.final, "a shared cache may store it")
	}), false, true, time.Now, nil).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
}

func TestLateWritersFlush(t *testing.T) {
	w := &sent{header: http.Header{"Ratelimit": {"outer"}}}
	Late(http.HandlerFunc(func(late http.ResponseWriter, _ *http.Request) {
		late.(http.Flusher).Flush()
		assert.Equal(t, []int{http.StatusOK}, w.statuses)
		assert.Empty(t, w.final, "a shared cache may store it")
	}), false, true, time.Now, nil).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
}
