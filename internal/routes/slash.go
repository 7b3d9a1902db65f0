package routes

import (
	"net/url"
	"slices"
	"strings"
)

// endings are the patterns that end in a slash although another pattern matches the path without
// it, such as /login/ beside /{page}. A ServeMux then keeps both apart, and other routers do not.
type endings struct {
	with, without [][]string          // segments of patterns, in lower case
	names         map[string]struct{} // last segments of patterns with a slash that lack no other
	any           bool                // such a segment is a wildcard
	files         []string            // of patterns for the file of a directory, as index.php
}

// cutSlash returns the path of a pattern without the slash at its end, and whether it has one.
func cutSlash(path string) (string, bool) {
	return strings.CutSuffix(strings.TrimSuffix(path, "{$}"), "/")
}

// add adds the path of a pattern.
func (s *endings) add(path string) {
	short, slash := cutSlash(strings.ToLower(path))
	segments := strings.Split(short, "/")
	if short == "" || strings.HasSuffix(short, "...}") {
		return
	}
	if !slash {
		if begin := directory(short); begin > 0 {
			s.files = addNew(s.files, short[begin:])
		}
		s.without = append(s.without, segments)
		for _, other := range s.with {
			s.note(other, segments)
		}
		return
	}
	s.with = append(s.with, segments)
	for _, other := range s.without {
		s.note(segments, other)
	}
}

// note notes that a pattern ends in a slash, if another one can match its paths without it.
func (s *endings) note(with, without []string) {
	if len(with) != len(without) {
		return
	}
	for i, name := range with {
		if name != without[i] && !isWildcard(name) && !isWildcard(without[i]) {
			return
		}
	}
	last := with[len(with)-1]
	if s.names == nil {
		s.names = map[string]struct{}{}
	}
	s.names[last], s.any = struct{}{}, s.any || isWildcard(last)
}

func isWildcard(segment string) bool { return strings.HasPrefix(segment, "{") }

// lacks reports whether path can lack the slash of such a pattern, or the file of a directory.
func (s *endings) lacks(path string) bool {
	if strings.HasSuffix(path, "/") {
		return s.files != nil
	}
	if s.names == nil {
		return false
	}
	_, known := s.names[strings.ToLower(path[strings.LastIndexByte(path, '/')+1:])]
	return known || s.any
}

// of returns the paths that lack a slash or a file, with it.
func (s *endings) of(paths []*url.URL) (more []*url.URL) {
	add := func(path string) { more = append(more, &url.URL{Path: path}) }
	for _, u := range paths {
		switch {
		case !s.lacks(u.Path):
		case strings.HasSuffix(u.Path, "/"):
			for _, file := range s.files {
				add(u.Path + file)
			}
		default:
			add(u.Path + "/")
		}
	}
	return slices.Clip(more)
}
