package ratelimit

import "strings"

// commaList walks the members of a comma-separated list from right to left over all
// its lines, without splitting what it will not look at.
type commaList struct {
	lines  []string
	quotes bool // whether commas within double quotes do not count
	rest   string
	begun  bool
}

func (l *commaList) prev() (string, bool) {
	if !l.begun {
		if len(l.lines) == 0 {
			return "", false
		}
		l.rest, l.lines, l.begun = l.lines[len(l.lines)-1], l.lines[:len(l.lines)-1], true
	}
	i := l.comma()
	member := strings.Trim(l.rest[i+1:], " \t")
	if i < 0 {
		l.begun = false
	} else {
		l.rest = l.rest[:i]
	}
	return member, true
}

// comma returns the index of the last comma that separates two members, or -1.
func (l *commaList) comma() int {
	if !l.quotes {
		return strings.LastIndexByte(l.rest, ',')
	}
	quoted := false
	for i := len(l.rest) - 1; i >= 0; i-- {
		switch c := l.rest[i]; {
		case c == '"' && !escaped(l.rest, i):
			quoted = !quoted
		case c == ',' && !quoted:
			return i
		}
	}
	return -1
}

// escaped reports whether the character at i follows an odd number of backslashes.
func escaped(s string, i int) bool {
	n := 0
	for i--; i >= 0 && s[i] == '\\'; i-- {
		n++
	}
	return n%2 == 1
}

// forwardedList walks the for parameters of a Forwarded field (RFC 7239, section 4).
type forwardedList struct{ commaList }

func (l *forwardedList) prev() (string, bool) {
	element, more := l.commaList.prev()
	if !more {
		return "", false
	}
	return forNode(element), true
}

// forNode returns the node of the one for parameter of element, or "".
func forNode(element string) string {
	node, found := "", false
	for element != "" {
		pair, rest := cutPair(element)
		element = rest
		name, value, ok := strings.Cut(strings.Trim(pair, " \t"), "=")
		if !ok || !strings.EqualFold(name, "for") {
			continue
		}
		if found {
			return ""
		}
		node, found = unquoteNode(value), true
	}
	return node
}

// cutPair cuts element at its first semicolon outside quotes.
func cutPair(element string) (pair, rest string) {
	quoted := false
	for i := range len(element) {
		switch c := element[i]; {
		case c == '"' && !escaped(element, i):
			quoted = !quoted
		case c == ';' && !quoted:
			return element[:i], element[i+1:]
		}
	}
	return element, ""
}

// unquoteNode returns the node without quotes and with no port that is not a number. A
// bare colon or bracket outside quotes is not allowed, so it is junk.
func unquoteNode(v string) string {
	if len(v) < 2 || v[0] != '"' || v[len(v)-1] != '"' {
		if strings.ContainsAny(v, `":[]`) {
			return ""
		}
		return v
	}
	v = v[1 : len(v)-1]
	if strings.ContainsAny(v, `"\`) {
		return ""
	}
	if strings.Count(v, ":") > 1 && v[0] != '[' {
		return "" // IPv6 without brackets
	}
	if i := strings.LastIndex(v, ":_"); i > 0 {
		v = v[:i]
	}
	return v
}
