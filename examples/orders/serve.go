package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/ratelimit-go/ratelimit"
)

// serveUntil serves the API at addr, and what operations returns at another address, until ctx
// ends. If mode is Off, the API has no limiter. serveUntil writes the addresses to out when it is
// ready.
func serveUntil(ctx context.Context, out io.Writer, addr string, data dataset, mode ratelimit.Mode) error {
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
	var d *defence
	if mode != ratelimit.Off {
		if d, err = protect(s, mode); err != nil {
			return err
		}
		handler = d.handler
	}
	counts := newCounters()
	api, err := listen(ctx, addr, counts.watch(handler))
	if err != nil {
		return err
	}
	ops, stop, err := operations(counts, d)
	if err != nil {
		return err
	}
	defer stop()
	control, err := listen(ctx, "127.0.0.1:0", ops)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("service http://%s\n", api)
	if d != nil {
		text += fmt.Sprintf("page http://%s%s\nmetrics http://%[1]s/metrics\n", control, pagePath)
	}
	if _, err := fmt.Fprintf(out, "%scounters http://%s/\n", text, control); err != nil {
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
