package routes

import (
	"net/http"
	"unicode"
	"unicode/utf8"
)

// A form is what is unusual about a request, so that it has other readings.
type form struct {
	pathForm
	host         string // as patterns have it
	doubtfulHost bool
	others       bool // of method or host
	extra        bool // of a path with a script or an extension
	bare         bool // of a path that lacks the slash of a pattern, or its file
}

// A pathForm is what is unusual about a path.
type pathForm struct {
	doubt doubt
	fold  bool // it has upper-case letters
	slash bool // it ends in a slash
	other bool // a header field has another path
}

// A doubt is a set of ways in which servers read a path differently.
type doubt uint8

const (
	decodes  doubt = 1 << iota // it was encoded without need, or can be decoded again
	slashes                    // a backslash can be a slash
	params                     // text from a semicolon on can be a parameter
	cuts                       // the path can end at a NUL, a question mark or a number sign
	trims                      // dots and spaces around a name, and control characters, can be dropped
	unicodes                   // characters beyond ASCII can be others that look alike
	cleans                     // segments are empty, or dots
)

// plain reports whether a request has no other readings.
func (f *form) plain() bool {
	return !f.doubtful() && !f.fold && !f.slash && !f.other && !f.others && !f.extra && !f.bare
}

// doubtful reports whether a request can have readings that this package does not know.
func (f *form) doubtful() bool { return f.doubt != 0 || f.doubtfulHost }

// formOf returns what is unusual about r, where named says what dashed does.
func (t *Table[T]) formOf(r *http.Request, named bool) form {
	f := form{pathForm: pathFormOf(r, named), host: r.Host}
	f.fold, f.extra, f.bare = f.fold || t.upper, t.hasExtra(r.URL.Path), t.ends.lacks(r.URL.Path)
	if t.methods {
		f.others = hasOtherMethod(r, named)
	}
	if len(t.hosts) > 0 {
		host, sure := canonicalHost(r.Host)
		f.host, f.doubtfulHost = host, !sure
		f.others = f.others || r.Host == "" || hasOtherHost(r, named)
	}
	return f
}

func pathFormOf(r *http.Request, named bool) pathForm {
	f := formOfPath(r.URL.Path)
	if r.URL.Opaque != "" {
		f.doubt |= cleans // it stands instead of the path: see pathsOf
	}
	if r.URL.RawPath != "" && encodedWithoutNeed(r.URL.RawPath) {
		f.doubt |= decodes
	}
	f.other = named && hasOtherPath(r)
	return f
}

// formOfPath returns what is unusual about a path, once decoded.
func formOfPath(path string) (f pathForm) {
	if path == "" || path[0] != '/' {
		f.doubt |= cleans
	}
	f.slash = len(path) > 1 && path[len(path)-1] == '/'
	last := byte(0)
	for i := 0; i < len(path); i++ {
		c := path[i]
		switch class := classes[c]; {
		case class == 0:
		case class&isUpper != 0:
			f.fold = true
		case class&isHigh != 0:
			r, size := utf8.DecodeRuneInString(path[i:])
			if size == 1 || !unicode.In(r, unicode.L, unicode.M, unicode.Nd) || mapped(r) != "" {
				f.doubt |= unicodes
			}
			f.fold = f.fold || unicode.IsUpper(r) || r == 'ı'
			i += size - 1
		case c == '/':
			if last == '/' {
				f.doubt |= cleans
			}
			f.endOfSegment(path[:i])
		case c == ' ':
			if last == '/' {
				f.doubt |= trims
			}
		default:
			f.doubt |= doubts[c]
		}
		last = c
	}
	f.endOfSegment(path)
	return f
}

// endOfSegment looks at the end of a segment, which is the end of path.
func (f *pathForm) endOfSegment(path string) {
	if path == "" {
		return
	}
	switch n := len(path); path[n-1] {
	case ' ':
		f.doubt |= trims
	case '.':
		f.doubt |= trims
		if n >= 2 && path[n-2] == '/' || n >= 3 && path[n-3:n-1] == "/." {
			f.doubt |= cleans
		}
	}
}

// The classes of bytes that need a look.
const (
	isUpper = 1 << iota
	isHigh
	isOther
)

// classes has the class of each byte, and doubts the doubt that an ASCII character causes.
var classes, doubts = classesOfBytes()

func classesOfBytes() (classes [256]uint8, doubts [128]doubt) {
	for c := range 256 {
		switch {
		case c >= 'A' && c <= 'Z':
			classes[c] = isUpper
		case c >= 0x80:
			classes[c] = isHigh
		case c < 0x20 || c == 0x7f:
			classes[c], doubts[c] = isOther, trims
		}
	}
	for c, d := range map[byte]doubt{
		'%': decodes, '\\': slashes, ';': params, 0: cuts | trims, '?': cuts, '#': cuts, '/': 0, ' ': 0,
	} {
		classes[c], doubts[c] = isOther, d
	}
	return classes, doubts
}

// encodedWithoutNeed reports whether raw encodes printable ASCII other than a space. Routers that
// match paths as they were sent, and routers that decode them first, then see different text.
func encodedWithoutNeed(raw string) bool {
	for i := 0; i+2 < len(raw); i++ {
		if raw[i] != '%' {
			continue
		}
		c, ok := unhex(raw[i+1], raw[i+2])
		if ok && c > ' ' && c < 0x7f {
			return true
		}
	}
	return false
}

func unhex(a, b byte) (byte, bool) {
	x, okX := nibble(a)
	y, okY := nibble(b)
	return x<<4 | y, okX && okY
}

func nibble(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10, true
	}
	return 0, false
}
