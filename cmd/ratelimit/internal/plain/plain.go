// Package plain makes text from logs safe to print, to a terminal, into JSON and into SVG, and puts
// numbers into words.
package plain

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text returns s in one line of printable characters, with at most limit bytes of s. Control
// characters, characters that change the direction of text, and bytes that are not UTF-8 appear as
// escapes such as \x1b. A longer text ends in "...".
func Text(s string, limit int) string {
	cut := len(s) > limit
	if cut {
		s = s[:limit]
		for i := 0; i < utf8.UTFMax-1 && s != "" && !utf8.ValidString(s[max(0, len(s)-utf8.UTFMax):]); i++ {
			s = s[:len(s)-1] // half a character
		}
	}
	if !clean(s) {
		s = escape(s)
	}
	if cut {
		s += "..."
	}
	return s
}

func clean(s string) bool {
	for _, c := range s {
		if c < 0x20 || c > 0x7e {
			return false
		}
	}
	return true
}

func escape(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		c, n := utf8.DecodeRuneInString(s)
		switch {
		case c == utf8.RuneError && n == 1, c < 0x80 && !unicode.IsPrint(c):
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case !unicode.IsPrint(c):
			fmt.Fprintf(&b, `\u%04x`, c)
		default:
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}
