package accesslog

import (
	"fmt"
	"strings"
	"time"
)

// Envoy and Traefik write quotes in the fields of a request as they are. So a client can write what
// looks like more values, and a line has more quotes than its format.

// envoyText reads the text of Envoy. The address of the client stands in a field that the client
// begins. If there are more quotes, the end of that field is not known.
func envoyText() func(string, *raw) error {
	t := withoutEscapes(envoy)
	t.open = true
	want := t.quotes()
	return func(line string, r *raw) error {
		if n := strings.Count(line, `"`); n > want {
			return fmt.Errorf("%d quotes: want %d, because Envoy does not escape those of a client", n, want)
		}
		return t.parse(line, r)
	}
}

// traefikText reads the CLF of Traefik. If there are more quotes, the header fields of the request
// are not known. All else stands before them, or is the last value.
func traefikText() func(string, *raw) error {
	t, head := withoutEscapes(traefik), withoutEscapes(traefikHead)
	head.open = true
	want := t.quotes()
	return func(line string, r *raw) error {
		if strings.Count(line, `"`) <= want {
			return t.parse(line, r)
		}
		last, ok := strings.CutSuffix(line[strings.LastIndexByte(line, ' ')+1:], "ms")
		if !ok {
			return fmt.Errorf("want %s at the end", quote("ms"))
		}
		if err := head.parse(line, r); err != nil {
			return err
		}
		return lasting(time.Millisecond)(r, last)
	}
}

// withoutEscapes compiles a format in which a backslash is nothing but a backslash.
func withoutEscapes(format string) *template {
	t := mustCompile(format)
	for i := range t.parts {
		t.parts[i].quoted = false
	}
	return t
}

// quotes returns how many quotes the fixed text of t has.
func (t *template) quotes() (n int) {
	for _, p := range t.parts {
		n += strings.Count(p.text, `"`)
	}
	return n
}
