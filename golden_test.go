package ratelimit_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

const responses = "testdata/responses"

// onWire returns the response of h to r, byte by byte, as a server sends it.
func onWire(t *testing.T, h http.Handler, r *http.Request) string {
	t.Helper()
	client, conn := net.Pipe()
	server := &http.Server{Handler: h}
	served := make(chan error, 1)
	go func() { served <- server.Serve(&oneConn{conn: conn, done: make(chan struct{})}) }()
	r.Header.Set("Connection", "close")
	go func() { _ = r.Write(client) }()
	response, err := io.ReadAll(client)
	require.NoError(t, err)
	require.NoError(t, server.Close())
	require.ErrorIs(t, <-served, http.ErrServerClosed)
	return string(response)
}

// oneConn is a listener that has one connection, from 192.0.2.1.
type oneConn struct {
	conn net.Conn
	done chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	if conn := l.conn; conn != nil {
		l.conn = nil
		return from{conn}, nil
	}
	<-l.done
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error {
	close(l.done)
	return nil
}

func (*oneConn) Addr() net.Addr { return here() }

type from struct{ net.Conn }

func (from) RemoteAddr() net.Addr { return here() }

func here() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1} }

// sorted returns response with its header fields in order.
func sorted(t *testing.T, response string) string {
	t.Helper()
	head, body, found := strings.Cut(response, "\r\n\r\n")
	require.True(t, found, response)
	lines := strings.Split(head, "\r\n")
	slices.Sort(lines[1:])
	return strings.Join(lines, "\r\n") + "\r\n\r\n" + body
}

// compareGolden compares response with a file of testdata/responses.
func compareGolden(t *testing.T, name, response string) {
	t.Helper()
	path := filepath.Join(responses, strings.ReplaceAll(name, " ", "-")+".txt")
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(response), 0o644))
	}
	golden, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(golden), response, "%s differs: if that is meant, run go test -run TestResponsesOnTheWire -update", path)
}

type exchange struct {
	name   string
	cfg    ratelimit.Config
	inner  ratelimit.Headers // of the inner limiter; empty means no inner limiter
	nested []ratelimit.Rule
	before int    // requests before the one whose response counts
	method string // "" is GET
	accept string
}

func exchanges() []exchange {
	two := ratelimit.Config{Rules: []ratelimit.Rule{rule("per-client", "2 per minute")}}
	form := func(f ratelimit.Headers) ratelimit.Config {
		return ratelimit.Config{Headers: f, Rules: []ratelimit.Rule{
			rule("per-client", "2 per minute; 10 per hour"),
			rule("daily", "1000 per day"),
		}}
	}
	costly := rule("per-client", "2 per minute")
	costly.Cost = func(*http.Request) int64 { return 3 }
	without := rule("per-user", "2 per minute")
	without.Key, without.OnMissingKey = ratelimit.ByUser(func(*http.Request) string { return "" }), ratelimit.DenyRequest
	hidden := rule("secret", "1 per minute")
	hidden.OmitHeaders = true
	failing := func(p ratelimit.FailurePolicy) ratelimit.Config {
		return ratelimit.Config{
			Rules: two.Rules, Store: failingStore{errors.New("down")}, OnStoreFailure: p,
			Hooks: ratelimit.Hooks{Error: func(context.Context, error) {}},
		}
	}
	several := ratelimit.Config{Rules: []ratelimit.Rule{rule("per-client",
		"5 per second; 100 per minute burst 20; 1000 per hour"), rule("writes", "2 per minute; 20 per day")}}
	blocks := ratelimit.Config{Rules: []ratelimit.Rule{blocking(ratelimit.Block{After: ratelimit.Per(2, time.Hour), For: time.Hour})}}
	deny := new(ratelimit.List)
	if err := deny.Replace([]string{"192.0.2.0/24"}); err != nil {
		panic(err)
	}
	denied := ratelimit.Config{Rules: two.Rules, Deny: deny}
	inner := []ratelimit.Rule{rule("inner", "1 per minute"), rule("inner-wide", "500 per hour")}
	return []exchange{
		{name: "allowed", cfg: two},
		{name: "allowed head", cfg: two, method: "HEAD"},
		{name: "denied json", cfg: two, before: 2},
		{name: "denied problem json", cfg: two, before: 2, accept: "text/html;q=0.5, application/problem+json"},
		{name: "denied text", cfg: two, before: 2, accept: "text/html, text/plain;q=0.9, */*;q=0.1"},
		{name: "denied head", cfg: two, before: 2, method: "HEAD"},
		{name: "exceeds burst", cfg: ratelimit.Config{Rules: []ratelimit.Rule{costly}}},
		{name: "exceeds burst text", cfg: ratelimit.Config{Rules: []ratelimit.Rule{costly}}, accept: "text/plain"},
		{name: "no key json", cfg: ratelimit.Config{Rules: []ratelimit.Rule{without}}},
		{name: "no key text", cfg: ratelimit.Config{Rules: []ratelimit.Rule{without}}, accept: "text/plain"},
		{name: "store failed closed json", cfg: failing(ratelimit.FailClosed)},
		{name: "store failed closed text", cfg: failing(ratelimit.FailClosed), accept: "text/plain"},
		{name: "store failed open", cfg: failing(ratelimit.FailOpen)},
		{name: "store failed memory", cfg: failing(ratelimit.UseMemory), before: 2},
		{name: "blocked by this request", cfg: blocks, before: 2},
		{name: "blocked json", cfg: blocks, before: 3},
		{name: "blocked text", cfg: blocks, before: 3, accept: "text/plain"},
		{
			name: "blocked nested", cfg: ratelimit.Config{Rules: []ratelimit.Rule{rule("per-client", "9 per minute")}},
			nested: blocks.Rules, before: 3,
		},
		{name: "deny list json", cfg: denied},
		{name: "deny list text", cfg: denied, accept: "text/plain"},
		{name: "draft allowed", cfg: form(ratelimit.DraftHeaders)},
		{name: "draft denied", cfg: form(ratelimit.DraftHeaders), before: 2},
		{name: "draft 7 allowed", cfg: form(ratelimit.Draft7Headers)},
		{name: "draft 7 denied", cfg: form(ratelimit.Draft7Headers), before: 2},
		{name: "draft 6 allowed", cfg: form(ratelimit.Draft6Headers)},
		{name: "draft 6 denied", cfg: form(ratelimit.Draft6Headers), before: 2},
		{name: "legacy allowed", cfg: form(ratelimit.LegacyHeaders)},
		{name: "legacy denied", cfg: form(ratelimit.LegacyHeaders), before: 2},
		{name: "no headers allowed", cfg: form(ratelimit.NoHeaders)},
		{name: "no headers denied", cfg: form(ratelimit.NoHeaders), before: 2},
		{name: "several rules allowed", cfg: several},
		{name: "several rules denied", cfg: several, before: 2},
		{name: "hidden rule allowed", cfg: ratelimit.Config{Rules: []ratelimit.Rule{hidden, two.Rules[0]}}},
		{name: "hidden rule denied", cfg: ratelimit.Config{Rules: []ratelimit.Rule{hidden, two.Rules[0]}}, before: 1},
		{name: "nested allowed", cfg: two, nested: inner},
		{name: "nested denied within", cfg: two, nested: inner, before: 1},
		{name: "nested draft 6 allowed", cfg: form(ratelimit.Draft6Headers), nested: inner, inner: ratelimit.Draft6Headers},
		{name: "nested legacy allowed", cfg: form(ratelimit.LegacyHeaders), nested: inner, inner: ratelimit.LegacyHeaders},
		{name: "nested legacy denied within", cfg: form(ratelimit.LegacyHeaders), nested: inner, inner: ratelimit.LegacyHeaders, before: 1},
	}
}

// Responses on the wire are compared byte for byte.
func TestResponsesOnTheWire(t *testing.T) {
	for _, ex := range exchanges() {
		t.Run(ex.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := http.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", "text/plain; charset=utf-8")
					_, _ = io.WriteString(w, "the answer\n")
				}))
				if ex.nested != nil {
					h = newLimiter(t, ratelimit.Config{Rules: ex.nested, Headers: ex.inner}).Handler(h)
				}
				h = newLimiter(t, ex.cfg).Handler(h)
				for range ex.before {
					serve(h, request("192.0.2.1:1"))
				}
				r, err := http.NewRequestWithContext(t.Context(), ex.method, "http://api.example/", nil)
				require.NoError(t, err)
				if ex.accept != "" {
					r.Header.Set("Accept", ex.accept)
				}
				compareGolden(t, ex.name, sorted(t, onWire(t, h, r)))
			})
		})
	}
	files, err := os.ReadDir(responses)
	require.NoError(t, err)
	assert.Len(t, files, len(exchanges()), "a file is left over from an exchange that is gone")
}
