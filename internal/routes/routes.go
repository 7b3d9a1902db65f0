// Package routes finds what belongs to the http.ServeMux patterns that a request can be read to
// match.
//
// A router, a proxy or a backend may read a request differently from a ServeMux: it decodes a path
// twice, ignores letter case, or takes the method from a header field. So a [Table] looks up every
// reading of a request that is plausible. A client then gains nothing by an odd spelling.
package routes

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// A Table finds values by [http.ServeMux] patterns. Once it is filled, it is safe for concurrent
// use. The zero Table is empty.
type Table[T any] struct {
	mux     *http.ServeMux
	values  []T                 // in the order of Add
	exact   map[string]int      // indexes of values, by pattern
	layers  []*http.ServeMux    // of patterns in lower case; each layer is without conflicts
	folded  map[string][]int    // indexes of values, by pattern in lower case
	hosts   map[string]struct{} // of patterns, in lower case
	names   map[string]struct{} // last segments of patterns, in lower case
	ends    endings             // of patterns that end in a slash
	upper   bool                // a path of a pattern has upper-case letters
	methods bool                // a pattern has a method
}

// A Match is what a [Table] finds for a request.
type Match[T any] struct {
	// Value is the value of the pattern that a ServeMux finds. Found reports whether there is one.
	Value T
	Found bool
	// Exact reports that a ServeMux would not redirect the request, and that nothing about its path
	// and host is doubtful.
	Exact bool
	// Others are the values of the patterns of other readings. If there are too many to look up,
	// they are all values.
	Others []T
	// Missed reports that another reading matches no pattern.
	Missed bool
}

// matched is the handler of every pattern. If a ServeMux finds another handler, the request does
// not match exactly: its path is not clean, or lacks a slash at its end.
type matched struct{}

func (matched) ServeHTTP(http.ResponseWriter, *http.Request) {}

// Add makes v the value of the requests that match pattern. The error says what is wrong with the
// pattern, or with which earlier pattern it conflicts.
func (t *Table[T]) Add(pattern string, v T) error {
	p, err := parsePattern(pattern)
	if err != nil {
		return err
	}
	if t.mux == nil {
		t.mux, t.exact, t.folded = http.NewServeMux(), map[string]int{}, map[string][]int{}
		t.hosts = map[string]struct{}{}
	}
	if err := register(t.mux, p.String()); err != nil {
		return err
	}
	index := len(t.values)
	t.values, t.exact[p.String()] = append(t.values, v), index
	t.methods = t.methods || p.method != ""
	if p.host != "" {
		t.hosts[p.host] = struct{}{}
	}
	t.addName(p.path)
	t.ends.add(p.path)
	lower, changed := p.fold()
	t.upper = t.upper || changed
	t.folded[lower] = append(t.folded[lower], index)
	if len(t.folded[lower]) > 1 {
		return nil
	}
	for _, layer := range t.layers {
		if register(layer, lower) == nil {
			return nil
		}
	}
	t.layers = append(t.layers, http.NewServeMux())
	return register(t.layers[len(t.layers)-1], lower)
}

// register adds pattern to mux. The error says what is wrong.
func register(mux *http.ServeMux, pattern string) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s", withoutPlaces(fmt.Sprint(p)))
		}
	}()
	mux.Handle(pattern, matched{})
	return nil
}

// Find returns what belongs to the patterns that r can be read to match.
func (t *Table[T]) Find(r *http.Request) (m Match[T]) {
	if t.mux == nil {
		return m
	}
	r, named := dashed(r)
	f := t.formOf(r, named)
	if f.host != r.Host {
		r = withHost(r, f.host)
	}
	h, pattern := t.mux.Handler(r)
	index, found := t.exact[pattern]
	if found {
		m.Value, m.Found = t.values[index], true
	}
	_, m.Exact = h.(matched)
	m.Exact = m.Exact && !f.doubtful()
	f.extra = f.extra && !endsAlike(pattern, r.URL.Path)
	if f.plain() {
		return m
	}
	var others collection
	if !t.findOthers(r, f, &others) {
		m.Others, m.Missed = t.values, true
		return m
	}
	m.Missed = others.missed
	for _, i := range others.indexes {
		if !found || i != index {
			m.Others = append(m.Others, t.values[i])
		}
	}
	return m
}

// A collection is what readings of a request have found.
type collection struct {
	indexes []int // each once
	missed  bool  // a reading has found nothing
}

func (c *collection) add(indexes ...int) {
	c.missed = c.missed || len(indexes) == 0
	for _, i := range indexes {
		if !slices.Contains(c.indexes, i) {
			c.indexes = append(c.indexes, i)
		}
	}
}

// findOthers looks up the readings of r that f tells of. It returns false if there are too many.
func (t *Table[T]) findOthers(r *http.Request, f form, c *collection) bool {
	methods := []string{r.Method}
	if t.methods {
		methods = methodsOf(r)
	}
	f.slash = f.slash || f.doubt != 0 || f.other // readings may end in a slash, too
	paths, ok := pathsOf(r, f.pathForm)
	n, hosts := len(paths), t.hostsOf(r, f)
	if ok && (f.extra || f.doubt != 0 || f.other) {
		var more []*url.URL
		more, ok = extras(paths, t.shorter)
		paths = append(paths, more...)
	}
	if f.bare || f.extra || f.doubt != 0 || f.other {
		paths = append(paths, t.ends.of(paths)...)
	}
	if !ok || len(paths)*len(hosts)*len(methods) > maxReadings {
		return false
	}
	for _, method := range methods {
		for _, host := range hosts {
			for j, p := range paths {
				reading := &http.Request{Method: method, Host: host, URL: p}
				_, pattern := t.mux.Handler(reading)
				if i, found := t.exact[pattern]; found {
					c.add(i)
				} else if j < n { // extras need not match
					c.add()
				}
				if f.fold {
					t.findFolded(reading, c)
				}
			}
		}
	}
	return true
}

// endsAlike reports whether a pattern that was found ends as path does, so that the pattern is for
// the extension of path.
func endsAlike(pattern, path string) bool {
	name := path[strings.LastIndexByte(path, '/')+1:]
	return name != "" && strings.HasSuffix(pattern, "/"+name)
}

// findFolded looks up reading in lower case.
func (t *Table[T]) findFolded(reading *http.Request, c *collection) {
	u := reading.URL
	reading.URL = &url.URL{Path: foldCase(u.Path), RawPath: foldCase(u.RawPath)}
	for _, layer := range t.layers {
		if _, pattern := layer.Handler(reading); pattern != "" {
			c.add(t.folded[pattern]...)
		}
	}
}

// foldCase returns s in lower case. The dotless i has the upper case of i, by which some servers
// compare.
func foldCase(s string) string { return strings.ReplaceAll(strings.ToLower(s), "ı", "i") }

// withoutPlaces returns what http.ServeMux says of a pattern, without the lines of this package.
func withoutPlaces(text string) string {
	for {
		before, place, found := strings.Cut(text, " (registered at ")
		_, after, closed := strings.Cut(place, ")")
		if !found || !closed {
			return text
		}
		text = before + after
	}
}

// IsToken reports whether s is a token of RFC 9110, section 5.6.2, as methods and the names of
// header fields and cookies are.
func IsToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// addNew appends s to list unless list has it.
func addNew(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}
