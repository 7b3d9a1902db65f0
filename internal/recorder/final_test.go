package recorder

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// A handler that ends after http.TimeoutHandler has answered did not answer with its own status.
func TestAnswerThatCameTooLate(t *testing.T) {
	for name, tc := range map[string]struct {
		answer func(w http.ResponseWriter)
		took   time.Duration
		want   int
	}{
		"a status in time":     {func(w http.ResponseWriter) { w.WriteHeader(201) }, 0, 201},
		"a status too late":    {func(w http.ResponseWriter) { w.WriteHeader(201) }, time.Minute, 503},
		"a body too late":      {func(w http.ResponseWriter) { _, _ = io.WriteString(w, "x") }, time.Minute, 503},
		"no body too late":     {func(w http.ResponseWriter) { w.WriteHeader(204) }, time.Minute, 503},
		"a failure too late":   {func(w http.ResponseWriter) { w.WriteHeader(401) }, time.Minute, 401},
		"no response too late": {func(http.ResponseWriter) {}, time.Minute, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got := make(chan Answer, 1)
				h := http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					rec := New(w)
					time.Sleep(tc.took)
					tc.answer(rec.Writer())
					got <- rec.Final(r.Context())
				}), time.Second, "")
				h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
				assert.Equal(t, tc.want, (<-got).Status)
			})
		})
	}
}

// The deadline of a context changes no answer that was sent.
func TestFinalAnswerAfterADeadline(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	for _, status := range []int{0, 200, 204, 304} {
		w := httptest.NewRecorder()
		rec := New(w)
		if status > 0 {
			rec.Writer().WriteHeader(status)
		}
		assert.Equal(t, Answer{Status: status}, rec.Final(ctx))
		assert.Empty(t, w.Body.String())
	}
}

// The header is what was sent, however it was sent. What a handler sets later is not in it.
func TestHeaderThatWasSent(t *testing.T) {
	for name, send := range map[string]func(w http.ResponseWriter){
		"a status": func(w http.ResponseWriter) { w.WriteHeader(401) },
		"a body":   func(w http.ResponseWriter) { _, _ = w.Write(nil) },
		"a string": func(w http.ResponseWriter) { _, _ = w.(io.StringWriter).WriteString("x") },
		"a flush":  func(w http.ResponseWriter) { w.(http.Flusher).Flush() },
		"a file":   func(w http.ResponseWriter) { _, _ = w.(io.ReaderFrom).ReadFrom(strings.NewReader("x")) },
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			rec := New(w)
			given := rec.Writer()
			h := given.Header()
			h.Set("Before", "1")
			given.WriteHeader(http.StatusEarlyHints)
			h.Add("Before", "2")
			assert.Equal(t, http.Header{"Before": {"1", "2"}}, rec.Header(), name)
			send(given)
			h.Set("Before", "3")
			h.Set("After", "1")
			assert.Equal(t, []string{"1", "2"}, rec.Header()["Before"], name)
			assert.NotContains(t, rec.Header(), "After", name)
		}))
		resp, err := server.Client().Get(server.URL)
		if assert.NoError(t, err) {
			assert.NoError(t, resp.Body.Close())
		}
		server.Close()
	}
}

// A trailer is no field of the header, and is told apart by its name.
func TestTrailersAreToldApart(t *testing.T) {
	w := httptest.NewRecorder()
	rec := New(w)
	h := rec.Writer().Header()
	h.Set("Trailer", "grpc-status, Absent")
	rec.Writer().WriteHeader(http.StatusOK)
	h.Set("Grpc-Status", "8")
	h.Set("After", "1")
	h.Set(http.TrailerPrefix+"Set-Cookie", "session=1")
	assert.Equal(t, http.Header{
		"Trailer":                          {"grpc-status, Absent"},
		http.TrailerPrefix + "Grpc-Status": {"8"},
		http.TrailerPrefix + "Set-Cookie":  {"session=1"},
	}, rec.Header())
}
