package clientip

import "strings"

// members reads the members of a comma-separated list from right to left over all of its lines. It
// does not split the part that the caller does not read: that part may be long, and a client wrote
// it.
type members struct {
	lines  []string
	quotes bool // whether commas between double quotes separate nothing
	rest   string
	begun  bool // whether rest is the part of a line that is still to read
}

// prev returns the next member to the left. It returns false if no member is left.
func (m *members) prev() (string, bool) {
	if !m.begun {
		last := len(m.lines) - 1
		if last < 0 {
			return "", false
		}
		m.rest, m.lines, m.begun = m.lines[last], m.lines[:last], true
	}
	i := m.comma()
	member := strings.Trim(m.rest[i+1:], " \t")
	if i < 0 {
		m.begun = false
	} else {
		m.rest = m.rest[:i]
	}
	return member, true
}

// comma returns the index of the last comma that separates two members, or -1.
func (m *members) comma() int {
	if !m.quotes {
		return strings.LastIndexByte(m.rest, ',')
	}
	quoted := false
	for i := len(m.rest) - 1; i >= 0; i-- {
		switch c := m.rest[i]; {
		case c == '"' && !escaped(m.rest, i):
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
