package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// serveUntil serves the API at addr, and the counters at another address, until ctx ends. It writes
// both addresses to out when it is ready.
func serveUntil(ctx context.Context, out io.Writer, addr string, data dataset, limited bool) error {
	dir, err := os.MkdirTemp("", "orders")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	db, err := openDatabase(ctx, dir, data)
	if err != nil {
		return err
	}
	defer db.Close()
	s := &service{db: db, signer: newSigner()}
	handler := s.routes(func(login http.Handler) http.Handler { return login })
	if limited {
		if handler, err = protect(s); err != nil {
			return err
		}
	}
	counts := newCounters()
	api, err := listen(ctx, addr, counts.watch(handler))
	if err != nil {
		return err
	}
	control, err := listen(ctx, "127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(counts.read())
	}))
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, "service http://%s\ncounters http://%s\n", api, control); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// listen serves h at addr until ctx ends, and returns the address with its port.
func listen(ctx context.Context, addr string, h http.Handler) (string, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: h, ReadTimeout: 10 * time.Second}
	go func() { _ = server.Serve(l) }()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	return l.Addr().String(), nil
}
