package tokenbudget

import (
	"errors"
	"net/http"
	"strings"
)

// answer is the ResponseWriter of the handler. It reads what passes, and changes only fields.
type answer struct {
	w      http.ResponseWriter
	fields func(h http.Header) // sets the fields of the Guard
	status int                 // 0 if the handler has written nothing
	reader reader              // nil until then
	err    error
}

func newAnswer(w http.ResponseWriter, fields func(h http.Header)) *answer {
	return &answer{w: w, fields: fields}
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.w.Header() }

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.w }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(code int) {
	if a.status == 0 && (code >= 200 || code == http.StatusSwitchingProtocols) {
		a.begin(code)
	}
	a.w.WriteHeader(code)
}

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.begin(http.StatusOK)
	}
	n, err := a.w.Write(p)
	if a.reader != nil {
		a.reader.feed(p[:min(max(n, 0), len(p))])
	}
	return n, err
}

// Flush implements http.Flusher.
func (a *answer) Flush() { _ = a.FlushError() }

// FlushError is for http.ResponseController.
func (a *answer) FlushError() error {
	if a.status == 0 {
		a.begin(http.StatusOK)
	}
	return http.NewResponseController(a.w).Flush()
}

// begin notes the status, sets the fields and chooses a reader.
func (a *answer) begin(code int) {
	a.status = code
	h := a.Header()
	a.fields(h)
	media, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	encoding := h.Get("Content-Encoding")
	switch {
	case encoding != "" && !strings.EqualFold(encoding, "identity"):
		a.err = errors.New("it has a Content-Encoding, so its usage cannot be read")
		a.reader = &plain{ended: true} // counts its bytes
	case strings.EqualFold(strings.TrimSpace(media), "text/event-stream"):
		a.reader = &stream{}
	default:
		a.reader = &plain{}
	}
}

// end returns what was seen of the response, and what could not be read.
func (a *answer) end() seen {
	var s seen
	if a.reader != nil {
		s = *a.reader.end()
	}
	if a.err != nil {
		s.failed(a.err)
	}
	return s
}
