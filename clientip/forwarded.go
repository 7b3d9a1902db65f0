package clientip

import "strings"

// forNode returns the node of the for parameter of an element of Forwarded (RFC 7239, section 4).
// It returns "" if the element has no such parameter, or more than one.
func forNode(element string) string {
	node, found := "", false
	for element != "" {
		var pair string
		pair, element = cutPair(element)
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

// unquoteNode returns node v without quotes and without an obfuscated port. It returns "" if v is
// not allowed: RFC 7239 wants quotes around a colon or a bracket, and brackets around IPv6.
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
		return ""
	}
	if i := strings.LastIndex(v, ":_"); i > 0 {
		v = v[:i]
	}
	return v
}
