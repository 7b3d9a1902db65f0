package fiberlimit

import (
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/valyala/fasthttp"
)

// The address of a peer has the same text as under net/http.
func TestPeer(t *testing.T) {
	for _, addr := range []net.Addr{
		&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1},
		&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1).To4(), Port: 65535},
		&net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 80},
		&net.TCPAddr{IP: net.ParseIP("fe80::1"), Port: 80, Zone: strings.Repeat("z", 200)},
		&net.TCPAddr{IP: net.IPv6zero, Port: 0},
		&net.TCPAddr{Port: 80},
		&net.TCPAddr{IP: net.IP{1, 2, 3}, Port: 80},
		&net.UnixAddr{Name: "/run/service.sock", Net: "unix"},
	} {
		assert.Equal(t, addr.String(), string(appendPeer(nil, addr)))
	}
}

// Copies are right for any number of fields, and a field can be appended to without changing
// another one.
func TestCopiesOfFields(t *testing.T) {
	var lines [][2]string
	for i := range 40 {
		lines = append(lines, [2]string{fmt.Sprint("X-", i%30), fmt.Sprint("value ", i)})
	}
	all := iter.Seq2[[]byte, []byte](func(yield func([]byte, []byte) bool) {
		for _, line := range lines {
			name, value := []byte(line[0]), []byte(line[1])
			if !yield(name, value) {
				return
			}
			clear(name) // as fasthttp does with its memory
			clear(value)
		}
	})
	want := http.Header{}
	for _, line := range lines {
		want.Add(line[0], line[1])
	}
	want.Del("X-7")

	size, n := measure(all)
	assert.Equal(t, 40, n)
	copied := make(texts, 0, size)
	got := http.Header{}
	values := copied.fields(got, all, make([]string, 0, n), func(name []byte) bool { return string(name) == "X-7" })
	assert.Len(t, values, 38)
	assert.Equal(t, want, got)
	for name := range want {
		want.Add(name, "more")
		got.Add(name, "more")
	}
	assert.Equal(t, want, got)
}

// A target has the URL that net/url finds, or none.
func TestParse(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const alphabet = "/aZ09._-~:;@!$&'()*+,=?#%2fF \\\x7f\x01\"<>[]{}|^`\xc3\xa9"
	plain := 0
	for range 200_000 {
		target := "/"
		for range rng.IntN(8) {
			at := rng.IntN(len(alphabet))
			target += alphabet[at : at+1]
		}
		var got url.URL
		err := parse(&got, target)
		want, wantErr := url.ParseRequestURI(target)
		if path, query, _ := strings.Cut(target, "?"); isPlain(path) && isPrintable(query) {
			plain++
		}
		assert.Equal(t, wantErr, err, target)
		if wantErr == nil {
			assert.Equal(t, *want, got, target)
		}
	}
	assert.Greater(t, plain, 10_000)
	for _, target := range []string{"", "*", "x", "http://h/p?q", "//h/p", "/", "/?", "/a?b?c", "/a?b#c", "/a%2fb"} {
		var got url.URL
		err := parse(&got, target)
		want, wantErr := url.ParseRequestURI(target)
		assert.Equal(t, wantErr, err, target)
		if wantErr == nil {
			assert.Equal(t, *want, got, target)
		}
	}
}

// Fields get into fiber's response in the same way, whether they are the usual ones or not.
func TestUsualFields(t *testing.T) {
	const level, policy = `"all";r=1;t=2`, `"all";q=5;w=60`
	outer := map[string][]string{"X-Outer": {"1"}, "Ratelimit": {"outer"}}
	for name, tc := range map[string]struct {
		header http.Header
		sent   map[string][]string
		usual  bool
	}{
		"usual":               {http.Header{"Ratelimit": {level}, "Ratelimit-Policy": {policy}}, nil, true},
		"long":                {http.Header{"Ratelimit": {strings.Repeat("x", 999)}, "Ratelimit-Policy": {policy}}, nil, true},
		"one":                 {http.Header{"Ratelimit": {level}}, nil, false},
		"none":                {http.Header{}, nil, false},
		"two lines":           {http.Header{"Ratelimit": {level, level}, "Ratelimit-Policy": {policy}}, nil, false},
		"no line":             {http.Header{"Ratelimit": {level}, "Ratelimit-Policy": {}}, nil, false},
		"others":              {http.Header{"X-A": {level}, "X-B": {policy}}, nil, false},
		"another":             {http.Header{"Ratelimit": {level}, "Ratelimit-Policy": {policy}, "X-A": {"1", "2"}}, nil, false},
		"merged":              {http.Header{"Ratelimit": {level}, "Ratelimit-Policy": {policy}, "X-Outer": {"1"}}, outer, false},
		"a field was removed": {http.Header{"Ratelimit": {level}, "Ratelimit-Policy": {policy}}, outer, false},
	} {
		p := &passage{ctx: new(fasthttp.RequestCtx), header: tc.header, sent: tc.sent}
		for field, lines := range tc.sent {
			p.ctx.Response.Header.Set(field, lines[0])
		}
		p.send()
		got := http.Header{}
		for field, line := range p.ctx.Response.Header.All() {
			got.Add(string(field), string(line))
		}
		got.Del("Content-Type")
		want := tc.header.Clone()
		maps.DeleteFunc(want, func(_ string, lines []string) bool { return len(lines) == 0 })
		assert.Equal(t, want, got, name)
		assert.Equal(t, tc.usual, tc.sent == nil && sendUsual(new(fasthttp.ResponseHeader), tc.header), name)
	}
}
