package login

import (
	"bytes"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is how deep the arrays and objects of a body may be nested.
const maxDepth = 32

// stringAt returns the string at a path of names in a JSON object, or "". It returns what
// encoding/json puts into a struct, if all other decoders find the same. Of several fields of one
// name encoding/json takes the last that is not null, a map takes the last of each spelling, and
// others take the first. Text after the object is not read, as encoding/json does not read it.
//
// It reads without encoding/json, which takes ten times as long for a large field: a request that
// is denied must cost little.
func stringAt(object []byte, path []string) string {
	value := object
	for _, name := range path {
		var ok bool
		if value, ok = member(value, name); !ok {
			return ""
		}
	}
	if value[0] != '"' {
		return ""
	}
	return unquote(value[1 : len(value)-1])
}

// member returns the text of the value of a field, if the object has one field of that name.
func member(object []byte, name string) (value []byte, ok bool) {
	c := cursor{text: object}
	if !c.take('{') {
		return nil, false
	}
	for fields := 0; !c.done(); fields++ {
		if fields == maxFields || fields > 0 && !c.take(',') {
			return nil, false
		}
		raw, good := c.quoted()
		if !good || !c.take(':') {
			return nil, false
		}
		c.space()
		begin := c.at
		if !c.skip(maxDepth) {
			return nil, false
		}
		// A letter that is written as a surrogate pair takes the most room, 12 bytes.
		if len(raw) <= 12*len(name) && strings.EqualFold(unquote(raw), name) {
			if ok {
				return nil, false
			}
			value, ok = c.text[begin:c.at], true
		}
	}
	return value, ok
}

// A cursor is a place in JSON text.
type cursor struct {
	text []byte
	at   int
}

// space goes to the next byte that is not white space.
func (c *cursor) space() {
	for c.at < len(c.text) {
		switch c.text[c.at] {
		case ' ', '\t', '\r', '\n':
			c.at++
		default:
			return
		}
	}
}

// next returns the next byte, or 0 at the end: JSON has no such byte.
func (c *cursor) next() byte {
	if c.at < len(c.text) {
		return c.text[c.at]
	}
	return 0
}

// done reports whether an object ends, or the text.
func (c *cursor) done() bool {
	c.space()
	return c.at == len(c.text) || c.text[c.at] == '}'
}

// take goes past b, if it is the next byte after white space.
func (c *cursor) take(b byte) bool {
	c.space()
	if c.next() != b {
		return false
	}
	c.at++
	return true
}

// quoted goes past a string, and returns what is between its quotes.
func (c *cursor) quoted() (raw []byte, ok bool) {
	if !c.take('"') {
		return nil, false
	}
	begin := c.at
	for c.at < len(c.text) {
		b := c.text[c.at]
		c.at++
		switch {
		case b == '"':
			return c.text[begin : c.at-1], true
		case b < ' ', b == '\\' && !c.escape():
			return nil, false
		}
	}
	return nil, false
}

// escape goes past what follows a backslash.
func (c *cursor) escape() bool {
	if c.at == len(c.text) {
		return false
	}
	b := c.text[c.at]
	c.at++
	switch b {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	case 'u':
		_, ok := unit(c.text[c.at:])
		c.at += 4
		return ok
	}
	return false
}

// unit returns the number of the four hexadecimal digits with which text begins.
func unit(text []byte) (r rune, ok bool) {
	if len(text) < 4 {
		return 0, false
	}
	for _, b := range text[:4] {
		switch {
		case '0' <= b && b <= '9':
			b -= '0'
		case 'a' <= b && b <= 'f':
			b -= 'a' - 10
		case 'A' <= b && b <= 'F':
			b -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(b)
	}
	return r, true
}

// skip goes past a value. It reports whether there is a value, nested no deeper than depth.
func (c *cursor) skip(depth int) bool {
	c.space()
	switch b := c.next(); b {
	case '"':
		_, ok := c.quoted()
		return ok
	case '{', '[':
		c.at++
		return depth > 0 && c.rest(b, depth-1)
	case 't':
		return c.word("true")
	case 'f':
		return c.word("false")
	case 'n':
		return c.word("null")
	}
	return c.number()
}

// rest goes past an array or an object that begins with open.
func (c *cursor) rest(open byte, depth int) bool {
	end := open + 2 // as in ASCII
	if c.take(end) {
		return true
	}
	for {
		if open == '{' {
			if _, ok := c.quoted(); !ok || !c.take(':') {
				return false
			}
		}
		if !c.skip(depth) {
			return false
		}
		if c.take(end) {
			return true
		}
		if !c.take(',') {
			return false
		}
	}
}

func (c *cursor) word(word string) bool {
	ok := bytes.HasPrefix(c.text[c.at:], []byte(word))
	c.at += len(word)
	return ok
}

// number goes past a number: an optional sign, digits, and optional parts after a point and an E.
func (c *cursor) number() bool {
	if c.next() == '-' {
		c.at++
	}
	if c.next() == '0' {
		c.at++
	} else if !c.digits() {
		return false
	}
	if c.next() == '.' {
		c.at++
		if !c.digits() {
			return false
		}
	}
	if b := c.next(); b != 'e' && b != 'E' {
		return true
	}
	c.at++
	if b := c.next(); b == '+' || b == '-' {
		c.at++
	}
	return c.digits()
}

// digits goes past digits, and reports whether there is one.
func (c *cursor) digits() bool {
	begin := c.at
	for b := c.next(); '0' <= b && b <= '9'; b = c.next() {
		c.at++
	}
	return c.at > begin
}

// unquote returns the string between the quotes of a string, as encoding/json does: bytes that are
// no UTF-8, and halves of surrogate pairs, are replaced.
func unquote(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 && utf8.Valid(raw) {
		return string(raw)
	}
	b := make([]byte, 0, len(raw))
	for len(raw) > 0 {
		if raw[0] != '\\' {
			r, size := utf8.DecodeRune(raw)
			b, raw = utf8.AppendRune(b, r), raw[size:]
			continue
		}
		if i := strings.IndexByte("bfnrt", raw[1]); i >= 0 {
			b, raw = append(b, "\b\f\n\r\t"[i]), raw[2:]
			continue
		}
		if raw[1] != 'u' {
			b, raw = append(b, raw[1]), raw[2:]
			continue
		}
		r, _ := unit(raw[2:])
		raw = raw[6:]
		if utf16.IsSurrogate(r) {
			r, raw = pair(r, raw)
		}
		b = utf8.AppendRune(b, r)
	}
	return string(b)
}

// pair returns the rune of a surrogate pair whose second half is at the beginning of raw, and what
// follows the half. If raw begins otherwise, it returns U+FFFD and raw.
func pair(first rune, raw []byte) (rune, []byte) {
	if len(raw) >= 6 && raw[0] == '\\' && raw[1] == 'u' {
		second, _ := unit(raw[2:])
		if r := utf16.DecodeRune(first, second); r != utf8.RuneError {
			return r, raw[6:]
		}
	}
	return utf8.RuneError, raw
}
