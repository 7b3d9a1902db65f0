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
	return len(t.shorter(strings.TrimSuffix(path, "/"))) > 0
}

// maxScripts bounds the scripts that are read of one path.
const maxScripts = 8

// extras returns what paths are to a server that runs scripts, or that takes shorter paths for the
// same: ends, if it is not nil, returns their lengths. It returns false if there are too many.
func extras(paths []*url.URL, ends func(path string) []int) (more []*url.URL, ok bool) {
	add := func(path string) { more = append(more, &url.URL{Path: path}) }
	shorten := func(path string) {
		if ends != nil {
			for _, end := range ends(path) {
				add(path[:end])
			}
		}
	}
	for _, u := range paths {
		shorten(u.Path)
		scripts, at := 0, 0
		for end := endOfScript(u.Path); end > 0; end = endOfScript(u.Path[at:]) {
			if scripts++; scripts > maxScripts {
				return nil, false
			}
			at += end
			add(u.Path[:at])
			add(u.Path[at:])
			shorten(u.Path[:at])
			shorten(u.Path[at:])
		}
	}
	return more, true
}

// shorter returns the lengths of the shorter paths that a server takes for path: without an
// extension that is the format of the response, as in /login.json, and without the name of the file
// that stands for its directory, as in /login/index.php.
func (t *Table[T]) shorter(path string) (ends []int) {
	first, last := t.withoutFormat(path)
	if first > 0 {
		ends = append(ends, first)
	}
	if last > first {
		ends = append(ends, last)
	}
	if dir := directory(path); dir > 0 {
		ends = append(ends, dir, max(dir-1, 1))
	}
	return ends
}

// directory returns the length of path without its last segment, if that is the name of the file
// that stands for its directory, and 0 otherwise.
func directory(path string) int {
	first, _ := dots(path)
	begin := strings.LastIndexByte(path, '/') + 1
	if first == 0 || !strings.EqualFold(path[begin:first], "index") &&
		!strings.EqualFold(path[begin:first], "default") {
		return 0
	}
	return begin
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
