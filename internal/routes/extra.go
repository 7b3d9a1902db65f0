package routes

import (
	"net/url"
	"slices"
	"strings"
)

// scripts are the extensions of what a server runs. What follows in the path is an
// argument of the script: /login.php/x runs /login.php, and /index.php/login is /login.
var scripts = [...]string{".php", ".aspx", ".asp", ".ashx", ".cgi", ".fcgi", ".pl", ".cfm"}

// addName notes that a pattern ends in a segment that is no wildcard, and perhaps in a slash.
func (t *Table[T]) addName(path string) {
	path, _ = cutSlash(path)
	name := path[strings.LastIndexByte(path, '/')+1:]
	if name == "" || name[0] == '{' {
		return
	}
	if t.names == nil {
		t.names = map[string]struct{}{}
	}
	t.names[strings.ToLower(name)] = struct{}{}
}

// hasExtra reports whether a path has readings of this file.
func (t *Table[T]) hasExtra(path string) bool {
	dot := strings.IndexByte(path, '.')
	if dot < 0 {
		return false
	}
	if dot < strings.LastIndexByte(path, '/') && endOfScript(path) > 0 {
		return true
	}
	first, last := t.withoutFormat(strings.TrimSuffix(path, "/"))
	return first > 0 || last > 0
}

// maxScripts bounds the scripts that are read of one path.
const maxScripts = 8

// extras returns what paths are to a server that runs scripts, or that takes an extension for the
// format of the response, as in /login.json: see withoutFormat. It returns false if there are too
// many.
func extras(
	paths []*url.URL, withoutFormat func(path string) (first, last int),
) (more []*url.URL, ok bool) {
	add := func(path string) { more = append(more, &url.URL{Path: path}) }
	format := func(path string) {
		first, last := withoutFormat(path)
		if first > 0 {
			add(path[:first])
		}
		if last > first {
			add(path[:last])
		}
	}
	for _, u := range paths {
		format(u.Path)
		scripts, at := 0, 0
		for end := endOfScript(u.Path); end > 0; end = endOfScript(u.Path[at:]) {
			if scripts++; scripts > maxScripts {
				return nil, false
			}
			at += end
			add(u.Path[:at])
			add(u.Path[at:])
			format(u.Path[:at])
			format(u.Path[at:])
		}
	}
	return more, true
}

// withoutFormat returns the lengths of path without what follows the first and the last dot of its
// last segment. A length is 0 unless a pattern has the rest of the segment as its last one.
func (t *Table[T]) withoutFormat(path string) (first, last int) {
	first, last = dots(path)
	begin := strings.LastIndexByte(path, '/') + 1
	known := func(end int) int {
		end = len(strings.TrimRight(path[:end], ". "))
		if end <= begin {
			return 0
		}
		if _, ok := t.names[strings.ToLower(path[begin:end])]; !ok {
			return 0
		}
		return end
	}
	return known(first), known(last)
}

// dots returns where the first and the last dot are in the last segment of path. It returns 0 for a
// dot before which the segment is empty.
func dots(path string) (first, last int) {
	begin := strings.LastIndexByte(path, '/') + 1
	after := func(dot int) int {
		if dot <= 0 {
			return 0
		}
		return begin + dot
	}
	return after(strings.IndexByte(path[begin:], '.')), after(strings.LastIndexByte(path[begin:], '.'))
}

// endOfScript returns where the first segment of path ends that is a script and not the last
// segment, or 0.
func endOfScript(path string) int {
	for begin := 0; ; {
		n := strings.IndexByte(path[begin:], '/')
		if n < 0 {
			return 0
		}
		name := path[begin : begin+n]
		dot := strings.LastIndexByte(name, '.')
		if dot > 0 && slices.Contains(scripts[:], strings.ToLower(name[dot:])) {
			return begin + n
		}
		begin += n + 1
	}
}
