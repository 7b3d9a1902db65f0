package ratelimit

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"time"
)

// A recorder sees what a handler answers, for rules that are charged by it. Only requests to
// which such a rule applies are given its ResponseWriter.
type recorder struct {
	w        http.ResponseWriter
	status   int // 0 until one is written
	bytes    int64
	hijacked bool
}

func newRecorder(w http.ResponseWriter) *recorder { return &recorder{w: w} }

func (rec *recorder) response(d time.Duration, panicked bool) Response {
	res := Response{
		Status: rec.status, Header: rec.w.Header(), Bytes: rec.bytes,
		Duration: d, Panicked: panicked, Hijacked: rec.hijacked,
	}
	switch {
	case res.Status != 0:
	case res.Hijacked:
		res.Status = http.StatusSwitchingProtocols
	case panicked:
		res.Status = http.StatusInternalServerError
	default:
		res.Status = http.StatusOK
	}
	return res
}

// writer returns a ResponseWriter that has the abilities of the one it records, in the
// combinations that net/http and its tests have. [http.ResponseController] reaches the others.
func (rec *recorder) writer() http.ResponseWriter {
	_, flusher := rec.w.(http.Flusher)
	_, hijacker := rec.w.(http.Hijacker)
	_, pusher := rec.w.(http.Pusher)
	_, reader := rec.w.(io.ReaderFrom)
	base := recording{rec}
	switch {
	case flusher && hijacker && pusher: // of those who wrap both
		return struct {
			recording
			recordingFlusher
			recordingHijacker
			http.Pusher
		}{base, recordingFlusher{rec}, recordingHijacker{rec}, rec.w.(http.Pusher)}
	case flusher && hijacker && reader: // HTTP/1
		return struct {
			recording
			recordingFlusher
			recordingHijacker
			recordingReader
		}{base, recordingFlusher{rec}, recordingHijacker{rec}, recordingReader{rec}}
	case flusher && pusher: // HTTP/2
		return struct {
			recording
			recordingFlusher
			http.Pusher
		}{base, recordingFlusher{rec}, rec.w.(http.Pusher)}
	case flusher && hijacker:
		return struct {
			recording
			recordingFlusher
			recordingHijacker
		}{base, recordingFlusher{rec}, recordingHijacker{rec}}
	case flusher:
		return struct {
			recording
			recordingFlusher
		}{base, recordingFlusher{rec}}
	case hijacker:
		return struct {
			recording
			recordingHijacker
		}{base, recordingHijacker{rec}}
	}
	return base
}

type recording struct{ *recorder }

// Unwrap is what [http.ResponseController] looks for.
func (rec recording) Unwrap() http.ResponseWriter {
	return beneath{rec, recordingFlusher{rec.recorder}, recordingHijacker{rec.recorder}}
}

// beneath is between a recording and what it records: an ability that only the ResponseWriters further
// down have is found by [http.ResponseController], and what it does is seen here.
type beneath struct {
	recording
	recordingFlusher
	recordingHijacker
}

func (b beneath) Unwrap() http.ResponseWriter { return b.w }

func (rec recording) Header() http.Header { return rec.w.Header() }

func (rec recording) WriteHeader(status int) {
	rec.w.WriteHeader(status) // which panics if there is no such status
	rec.wrote(status)
}

func (rec recording) Write(b []byte) (int, error) {
	rec.wrote(http.StatusOK)
	n, err := rec.w.Write(b)
	rec.bytes += int64(n)
	return n, err
}

func (rec recording) WriteString(s string) (int, error) {
	rec.wrote(http.StatusOK)
	n, err := io.WriteString(rec.w, s)
	rec.bytes += int64(n)
	return n, err
}

// wrote notes the first status that is not informational.
func (rec *recorder) wrote(status int) {
	if rec.status == 0 && !rec.hijacked && (status >= 200 || status == http.StatusSwitchingProtocols) {
		rec.status = status
	}
}

type recordingFlusher struct{ rec *recorder }

func (f recordingFlusher) Flush() { _ = f.FlushError() }

// FlushError is what [http.ResponseController] looks for.
func (f recordingFlusher) FlushError() error {
	err := http.NewResponseController(f.rec.w).Flush()
	if !errors.Is(err, http.ErrNotSupported) {
		f.rec.wrote(http.StatusOK)
	}
	return err
}

type recordingHijacker struct{ rec *recorder }

func (h recordingHijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(h.rec.w).Hijack()
	h.rec.hijacked = h.rec.hijacked || err == nil
	return conn, rw, err
}

type recordingReader struct{ rec *recorder }

func (r recordingReader) ReadFrom(src io.Reader) (int64, error) {
	n, err := r.rec.w.(io.ReaderFrom).ReadFrom(src)
	if n > 0 { // or there is no header yet, and the handler may write another status
		r.rec.wrote(http.StatusOK)
	}
	r.rec.bytes += n
	return n, err
}
