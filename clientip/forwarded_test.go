package clientip_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/ratelimit-go/ratelimit/clientip"
)

func TestForwardedNodes(t *testing.T) {
	for name, tc := range map[string]struct {
		field string
		want  string
	}{
		"IPv6 and a hidden port": {field: `For="[2001:db8::7]:_p";proto=http, for=10.0.0.3`, want: "2001:db8::7"},
		"escape in a node":       {field: `for="6\.6.6.6"`, want: "10.0.0.1"},
	} {
		assert.Equal(t, tc.want, addr(t, forwarded(), received(t, proxy, "Forwarded: "+tc.field)), name)
	}
}

// A client opens a quote or an element that it does not close, to spoil what the proxies append.
// The walk starts from the right and ends before that text.
func TestUnclosedQuotesSpoilNothing(t *testing.T) {
	for _, left := range []string{
		`for="6.6.6.6`, `"`, `for="`, `for="6.6.6.6\`, `for=6.6.6.6;by="a;`, `for="\"`, `;;;`, `=`, `for=[::1`, `a="b",c="`, `"""`,
	} {
		for _, right := range []string{
			"for=203.0.113.7", `for="203.0.113.7:80"`, "for=203.0.113.7;proto=https, for=10.0.0.2",
			`For="203.0.113.7";host="a,b;c", FOR="[fd00::2]:1"`,
		} {
			r := received(t, proxy, "Forwarded: "+left+", "+right)
			assert.Equal(t, "203.0.113.7/32", client(t, forwarded(), r), "%s, %s", left, right)
		}
	}
}

// A client sends a Host, or another value that the proxy copies into quotes, with an element in it.
// Quoted text is not an element.
func TestQuotedTextIsNoElement(t *testing.T) {
	for _, host := range []string{
		"a,for=6.6.6.6", "a;for=6.6.6.6", ",for=6.6.6.6,", `a\",for=6.6.6.6`, `\\,for=6.6.6.6;x=\"`, ";for=6.6.6.6;",
	} {
		for _, element := range []string{
			`for=203.0.113.7;host="` + host + `"`, `host="` + host + `";for=203.0.113.7`,
			`host="` + host + `" ; for="203.0.113.7:1";proto=http`,
		} {
			assert.Equal(t, "203.0.113.7/32", client(t, forwarded(), received(t, proxy, "Forwarded: "+element)), element)
			twice := received(t, proxy, "Forwarded: for=6.6.6.6, "+element+", for=10.0.0.2")
			assert.Equal(t, "203.0.113.7/32", client(t, forwarded(), twice), element)
		}
	}
}

// A proxy reports a node without an address, and a client wrote the text to the left of it. That
// node ends the walk, and its text finds no client.
func TestUnknownAndObfuscatedNodesAreJunk(t *testing.T) {
	for _, node := range []string{
		"unknown", "_hidden", `"_hidden:80"`, `"unknown:80"`, `""`, "", "2001:db8::7", `"2001:db8::7"`, "203.0.113.7:80",
		`"203.0.113.7`, "203.0.113.7;for=203.0.113.8",
	} {
		assert.Equal(t, "10.0.0.1/32", client(t, forwarded(), received(t, proxy, "Forwarded: for=6.6.6.6, for="+node)), node)
		behind := received(t, proxy, "Forwarded: for=6.6.6.6, for="+node+", for=10.0.0.2")
		assert.Equal(t, "10.0.0.2/32", client(t, forwarded(), behind), node)
	}
	r := received(t, proxy, "Forwarded: for=6.6.6.6, by=203.0.113.7;proto=http")
	assert.Equal(t, "10.0.0.1/32", client(t, forwarded(), r), "no for parameter")
}

// FuzzForwarded compares Forwarded with modelWalk and modelNode.
func FuzzForwarded(f *testing.F) {
	prefixes, hops := trustedForFuzz()
	f.Fuzz(func(t *testing.T, remote, header string) {
		if len(remote)+len(header) > maxFuzz {
			t.Skip()
		}
		lines := strings.Split(header, "\n")
		var members []string
		for _, line := range lines {
			for _, element := range splitOutsideQuotes(line, ',', fromTheRight) {
				members = append(members, modelNode(element))
			}
		}
		r := &http.Request{RemoteAddr: remote, Header: http.Header{"Forwarded": lines}}
		requireAddr(t, clientip.Forwarded(prefixes), r, modelWalk(remote, members, byPrefix))
		requireAddr(t, clientip.Forwarded(hops), r, modelWalk(remote, members, byHops))

		// For any text of a client, the elements that the proxies append decide.
		r.RemoteAddr = proxy
		for _, appended := range []string{"for=203.0.113.7", `for="203.0.113.7:80";host="a,b;for=6.6.6.6\"", for="[fd00::2]"`} {
			r.Header["Forwarded"] = append(lines[:len(lines)-1:len(lines)-1], lines[len(lines)-1]+", "+appended)
			requireAddr(t, clientip.Forwarded(prefixes), r, netip.MustParseAddr("203.0.113.7"))
		}
	})
}

const (
	fromTheLeft = iota
	fromTheRight
)

// splitOutsideQuotes splits s at those separators that have an even number of quotes on the side
// from which a reader comes. A quote after an odd number of backslashes does not count.
func splitOutsideQuotes(s string, sep byte, side int) []string {
	var parts []string
	from := 0
	for i := range len(s) {
		quotes := 0
		for j := range len(s) {
			backslashes := j - len(strings.TrimRight(s[:j], `\`))
			if s[j] == '"' && backslashes%2 == 0 && (j > i) == (side == fromTheRight) {
				quotes++
			}
		}
		if s[i] == sep && quotes%2 == 0 {
			parts = append(parts, s[from:i])
			from = i + 1
		}
	}
	return append(parts, s[from:])
}

// modelNode returns the address, which may have a port, of the for parameter of element.
func modelNode(element string) string {
	var nodes []string
	for _, pair := range splitOutsideQuotes(strings.Trim(element, " \t"), ';', fromTheLeft) {
		name, value, found := strings.Cut(strings.Trim(pair, " \t"), "=")
		if found && strings.EqualFold(name, "for") {
			nodes = append(nodes, value)
		}
	}
	if len(nodes) != 1 {
		return ""
	}
	quoted := quotedNode.FindStringSubmatch(nodes[0])
	switch {
	case quoted == nil && strings.ContainsAny(nodes[0], `":[]`):
		return ""
	case quoted == nil:
		return nodes[0]
	case strings.Count(quoted[1], ":") > 1 && !strings.HasPrefix(quoted[1], "["):
		return ""
	}
	return hiddenPort.ReplaceAllString(quoted[1], "$1")
}
