package routes

import (
	"strings"
	"unicode/utf8"
)

// asASCII replaces what some servers take for ASCII: UTF-8 that is longer than it has to be, and
// characters that look like ASCII.
func asASCII(p string) string {
	if strings.IndexFunc(p, func(r rune) bool { return r >= utf8.RuneSelf }) < 0 {
		return p
	}
	var b strings.Builder
	for i := 0; i < len(p); {
		r, size := utf8.DecodeRuneInString(p[i:])
		switch {
		case r == utf8.RuneError && size == 1 && p[i]&0xfe == 0xc0 && i+1 < len(p) && p[i+1]&0xc0 == 0x80:
			b.WriteByte(p[i]<<6 | p[i+1]&0x3f)
			size = 2
		case mapped(r) != "":
			b.WriteString(mapped(r))
		default:
			b.WriteString(p[i : i+size])
		}
		i += size
	}
	return b.String()
}

// mapped returns the ASCII that r looks like and that servers make of it, or "".
func mapped(r rune) string {
	switch {
	case r >= 0xff01 && r <= 0xff5e: // full width
		return string(r - 0xfee0)
	case r == 0x2044 || r == 0x2215 || r == 0x29f8:
		return "/"
	case r == 0x2216 || r == 0x29f5 || r == 0xfe68:
		return `\`
	case r == 0x2024 || r == 0x3002 || r == 0xff61 || r == 0xfe52:
		return "."
	case r == 0x2025:
		return ".."
	case r == 0x017f:
		return "s"
	case r == 0x212a:
		return "k"
	}
	return ""
}
