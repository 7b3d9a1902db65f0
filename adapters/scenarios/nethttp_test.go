package scenarios_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
)

// netHTTP is the reference.
var netHTTP = framework{
	name: "net/http",
	start: func(t testing.TB, s site) string {
		mux := http.NewServeMux()
		for _, rt := range s.routes {
			mux.Handle(rt.method+" "+rt.path, around(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_ = rt.do(httpExchange{w, r})
			}), rt.with))
		}
		return serve(t, recovered(around(mux, s.use)))
	},
	ways: []way{{"http.Error", func(x exchange, status int) error { return x.Text(status, "failed") }}},
}

func around(h http.Handler, with []decorator) http.Handler {
	for _, m := range slices.Backward(with) {
		h = m(h)
	}
	return h
}

func recovered(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if recover() != nil {
				w.WriteHeader(http.StatusInternalServerError)
			}
		}()
		h.ServeHTTP(w, r)
	})
}

func serve(t testing.TB, h http.Handler) string {
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

type httpExchange struct {
	w http.ResponseWriter
	r *http.Request
}

func (x httpExchange) Context() context.Context     { return x.r.Context() }
func (x httpExchange) Param(name string) string     { return x.r.PathValue(name) }
func (x httpExchange) SetHeader(name, value string) { x.w.Header().Set(name, value) }
func (x httpExchange) Body() string                 { return readAll(x.r.Body) }
func (x httpExchange) Form(name string) string      { return x.r.PostFormValue(name) }
func (x httpExchange) Nothing() error               { return x.Empty(http.StatusOK) }

func (x httpExchange) Empty(status int) error {
	x.w.WriteHeader(status)
	return nil
}

func (x httpExchange) Text(status int, body string) error {
	x.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	x.w.WriteHeader(status)
	_, err := io.WriteString(x.w, body)
	return err
}

func (x httpExchange) Stream(first string, more <-chan struct{}, rest string) error {
	return stream(x.w, first, more, rest)
}

func (x httpExchange) Hijack(first string, more <-chan struct{}) error {
	return hijack(x.w, first, more)
}

func readAll(r io.Reader) string {
	b, err := io.ReadAll(r)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func stream(w http.ResponseWriter, first string, more <-chan struct{}, rest string) error {
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = io.WriteString(w, first)
	w.(http.Flusher).Flush()
	<-more
	_, err := io.WriteString(w, rest)
	return err
}

func hijack(w http.ResponseWriter, first string, more <-chan struct{}) error {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return err
	}
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: test\r\n\r\n"+first)
	<-more
	return conn.Close()
}
