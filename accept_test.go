package ratelimit_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/ratelimit-go/ratelimit"
)

func TestBodyByAccept(t *testing.T) {
	const problem, text = "application/problem+json", "text/plain; charset=utf-8"
	h := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("r", "1 per day")}}).Handler(ok)
	serve(h, request("192.0.2.1:1"))
	for accept, want := range map[string]string{
		"":                                problem,
		"*/*":                             problem,
		"text/plain":                      text,
		"TEXT/HTML":                       text,
		"application/json":                problem,
		"application/*, text/plain":       problem,
		"text/plain;q=0.5, */*;q=0.4":     text,
		"text/plain;q=0.4, */*;q=0.5":     problem,
		"application/json;q=0, */*;q=0.1": text,
		"text/plain; charset=utf-8; q=0":  problem,
		"text/plain;q=nonsense":           problem,
		"text/html,application/xml;q=0.9,*/*;q=0.8":     text,
		strings.Repeat("image/png,", 40) + "text/plain": problem,
	} {
		r := request("192.0.2.1:1")
		if accept != "" {
			r.Header.Set("Accept", accept)
		}
		assert.Equal(t, want, serve(h, r).Header().Get("Content-Type"), accept)
	}
}
