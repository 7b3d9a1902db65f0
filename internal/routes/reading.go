package routes

import (
	"cmp"
	"net/http"
	"net/url"
	"path"
	"strings"
)

// Bounds of the readings of one request. A client can combine doubtful forms as it likes. Beyond a
// bound, it meets what belongs to every pattern.
const (
	maxReadings = 128     // patterns that are looked up
	maxPaths    = 48      // different paths
	maxLength   = 1024    // bytes of a doubtful path
	maxWork     = 1 << 13 // bytes that are read and written to find all paths
	maxDecoded  = 4       // times that a path is decoded
)

// readings collects the paths that a path can be read to be.
type readings struct {
	paths []string
	seen  map[string]bool
	work  int
}

// over reports whether there are too many.
func (rs *readings) over() bool { return len(rs.paths) > maxPaths || rs.work > maxWork }

func (rs *readings) add(p string) {
	if rs.seen[p] || rs.over() {
		return
	}
	rs.seen[p] = true
	rs.work += len(p)
	rs.paths = append(rs.paths, p)
}

// steps are the ways to read a path differently, once it is decoded.
var steps = [...]func(string) string{
	asASCII,
	slashed, untilNUL, untilQuery,
	withoutParams,
	slashed, untilNUL, untilQuery, // parameters can hold these
	trimmed,
}

func slashed(p string) string    { return strings.ReplaceAll(p, `\`, "/") }
func untilNUL(p string) string   { return before(p, "\x00") }
func untilQuery(p string) string { return before(p, "?#") }

// before returns p up to the first of chars.
func before(p, chars string) string {
	if i := strings.IndexAny(p, chars); i >= 0 {
		return p[:i]
	}
	return p
}

// pathsOf returns the paths that r can be read to have, and false if there are too many. The path
// that r has, without anything unusual, is the first.
//
// A target such as x:http://name/login has no path for net/http. A proxy passes on what follows the
// scheme, and a server finds any path there.
func pathsOf(r *http.Request, f pathForm) (urls []*url.URL, ok bool) {
	if r.URL.Opaque != "" {
		return nil, false
	}
	if f.doubt == 0 && !f.other {
		urls = append(urls, &url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath})
		if f.slash {
			urls = append(urls, &url.URL{Path: r.URL.Path[:len(r.URL.Path)-1]})
		}
		return urls, true
	}
	if len(r.URL.Path) > maxLength {
		return nil, false
	}
	rs := readings{seen: map[string]bool{}}
	rs.read(cmp.Or(r.URL.RawPath, r.URL.EscapedPath()), r.URL.Path)
	rs.readMounted(r)
	for _, name := range originals {
		for _, line := range r.Header[name] {
			if _, rest, found := strings.Cut(line, "://"); found {
				line = rest[max(strings.IndexByte(rest, '/'), 0):]
			}
			if len(line) > maxLength {
				return nil, false
			}
			line, _, _ = strings.Cut(line, "?")
			rs.read(line, decoded(line))
		}
	}
	if rs.over() {
		return nil, false
	}
	for _, p := range rs.paths {
		urls = appendURLs(urls, p, f.slash)
	}
	return urls, true
}

// read adds all readings of a path that was sent as raw, and that net/http decoded.
func (rs *readings) read(raw, path string) {
	if raw != path && encodedWithoutNeed(raw) {
		rs.combine(raw, 0)
	}
	for range maxDecoded {
		rs.combine(path, 0)
		again := decoded(path)
		if again == path || rs.over() {
			return
		}
		path = again
	}
	rs.work += maxWork // decoded more often than any server does
}

// combine adds what each choice of the steps from number i on makes of p.
func (rs *readings) combine(p string, i int) {
	for ; i < len(steps); i++ {
		if rs.over() {
			return
		}
		rs.work += len(p) / 8 // a step reads faster than add writes
		if read := steps[i](p); read != p {
			rs.combine(read, i+1)
		}
	}
	rs.add(p)
	if strings.HasPrefix(p, "//") {
		rs.add(withoutHost(p))
	}
}

// appendURLs adds p to urls: cleaned, with its dots as they are, without a slash at its end, and
// with one if it ends in dots, which a ServeMux cleans away with the slash before them.
func appendURLs(urls []*url.URL, p string, slash bool) []*url.URL {
	clean := path.Clean("/" + p)
	if clean != "/" && strings.HasSuffix(p, "/") {
		if slash {
			urls = append(urls, &url.URL{Path: clean})
		}
		clean += "/"
	}
	urls = append(urls, &url.URL{Path: clean})
	if clean != "/" && (strings.HasSuffix(p, "/.") || strings.HasSuffix(p, "/..")) {
		urls = append(urls, &url.URL{Path: clean + "/"})
	}
	if raw := literalDots(p); raw != "" {
		urls = append(urls, &url.URL{Path: p, RawPath: raw})
	}
	return urls
}

// literalDots returns p with its dot segments encoded, so that a ServeMux takes them for names, as
// routers do that clean no path. It returns "" if p has none.
func literalDots(p string) string {
	if !strings.Contains(p, "/.") || p[0] != '/' {
		return ""
	}
	segments, found := strings.Split(p, "/"), false
	for i, s := range segments {
		if s == "." || s == ".." {
			segments[i], found = strings.ReplaceAll(s, ".", "%2E"), true
		} else {
			segments[i] = url.PathEscape(s)
		}
	}
	if !found {
		return ""
	}
	return strings.Join(segments, "/")
}

// withoutParams cuts each segment at its first semicolon, as Java servers do.
func withoutParams(p string) string {
	if strings.IndexByte(p, ';') < 0 {
		return p
	}
	var b strings.Builder
	for i := 0; i < len(p); {
		end := i + segment(p[i:])
		name, _, _ := strings.Cut(p[i:end], ";")
		b.WriteString(name)
		if end < len(p) {
			b.WriteByte('/')
		}
		i = end + 1
	}
	return b.String()
}

// segment returns the length of the first segment of p.
func segment(p string) int {
	if i := strings.IndexByte(p, '/'); i >= 0 {
		return i
	}
	return len(p)
}

// trimmed drops control characters, and dots and spaces around the names of segments.
func trimmed(p string) string {
	if formOfPath(p).doubt&trims == 0 {
		return p
	}
	p = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, p)
	segments := strings.Split(p, "/")
	for i, s := range segments {
		if s = strings.Trim(s, " "); s != "." && s != ".." {
			s = strings.TrimRight(s, ". ")
		}
		segments[i] = s
	}
	return strings.Join(segments, "/")
}

// decoded decodes p once. It leaves what is not an encoding.
func decoded(p string) string {
	if strings.IndexByte(p, '%') < 0 {
		return p
	}
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		if p[i] != '%' {
			b.WriteByte(p[i])
			continue
		}
		switch rest := p[i+1:]; {
		case len(rest) >= 5 && rest[0]|0x20 == 'u': // %u002e, as IIS reads it
			high, ok := unhex(rest[1], rest[2])
			low, ok2 := unhex(rest[3], rest[4])
			if !ok || !ok2 {
				b.WriteByte('%')
				continue
			}
			b.WriteRune(rune(high)<<8 | rune(low))
			i += 5
		case len(rest) >= 2:
			c, ok := unhex(rest[0], rest[1])
			if !ok {
				b.WriteByte('%')
				continue
			}
			b.WriteByte(c)
			i += 2
		default:
			b.WriteByte('%')
		}
	}
	return b.String()
}
