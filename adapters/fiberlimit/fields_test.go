package fiberlimit

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
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
	copied.fields(got, all, make([]string, 0, n), "X-7")
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
