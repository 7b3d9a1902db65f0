package accesslog

import (
	"errors"
	"fmt"
	"strings"
)

// A template is a format as a line of fields with fixed text between them.
type template struct {
	parts []part
	open  bool // more may follow the last part
}

// part is a fixed text, and the field after it. Only the last part may have no field.
type part struct {
	text   string
	name   string // of the field, for messages
	set    setter
	quoted bool // the field stands in quotes, in which quotes are escaped
	free   bool // the field is a name that the client sent, and not in quotes
}

// add adds a field, or fixed text if set is nil.
func (t *template) add(text, name string, set setter) error {
	switch n := len(t.parts); {
	case n > 0 && t.parts[n-1].set == nil:
		t.parts[n-1] = part{text: t.parts[n-1].text + text, name: name, set: set}
	case n > 0 && text == "" && continues(t.parts[n-1].name, name):
	case n > 0 && text == "" && set != nil:
		return fmt.Errorf("%s follows %s without a character between them", name, t.parts[n-1].name)
	default:
		t.parts = append(t.parts, part{text: text, name: name, set: set})
	}
	return nil
}

// continues reports whether one field follows another one as the query follows the path: both are
// one target.
func continues(before, name string) bool {
	path := before == "%U" || before == "$uri"
	return path && (name == "%q" || name == "$is_args" || name == "$args" || name == "$query_string")
}

// compile finishes a template.
func (t *template) compile() error {
	fields := 0
	for i := range t.parts {
		p := &t.parts[i]
		if p.set != nil {
			fields++
		}
		next := ""
		if i+1 < len(t.parts) {
			next = t.parts[i+1].text
		}
		p.quoted = strings.HasSuffix(p.text, `"`) && strings.HasPrefix(next, `"`)
		p.free = !p.quoted && (p.name == "$remote_user" || p.name == "%u")
	}
	if fields == 0 {
		return errors.New("the format has no field: want one such as $remote_addr or %h")
	}
	return nil
}

func (t *template) parse(line string, r *raw) error {
	pos := 0
	for i := range t.parts {
		p := &t.parts[i]
		if !strings.HasPrefix(line[pos:], p.text) {
			return fmt.Errorf("want %s at column %d", quote(p.text), pos+1)
		}
		pos += len(p.text)
		if p.set == nil {
			break
		}
		end := t.end(line, pos, i)
		if end < 0 {
			return fmt.Errorf("want %s after %s", quote(t.parts[i+1].text), p.name)
		}
		value := line[pos:end]
		pos = end
		if value == "" || value == "-" {
			continue
		}
		if p.quoted && strings.Contains(value, `\`) {
			value = unescape(value)
		}
		if err := p.set(r, value); err != nil {
			return err
		}
	}
	if rest := line[pos:]; rest != "" && !(t.open && rest[0] == ' ') {
		return fmt.Errorf("want the end of the line at column %d", pos+1)
	}
	return nil
}

// end returns where the field of part i ends that begins at pos, or -1.
func (t *template) end(line string, pos, i int) int {
	if i+1 < len(t.parts) {
		if n := t.endOfName(line[pos:], i); n > 0 {
			return pos + n
		}
		n := strings.Index(line[pos:], t.parts[i+1].text)
		if n < 0 {
			return -1
		}
		for t.parts[i].quoted && escaped(line[pos:pos+n]) {
			more := strings.Index(line[pos+n+1:], t.parts[i+1].text)
			if more < 0 {
				break // the server does not escape: a value that ends in a backslash
			}
			n += 1 + more
		}
		return pos + n
	}
	if n := strings.IndexByte(line[pos:], ' '); t.open && n >= 0 {
		return pos + n
	}
	return len(line)
}

// endOfName returns where the name of a user ends that rest begins with, or -1 if part i is none. A
// name may have what stands before the time after it, as in "a [b [10/Oct/2000:13:55:36 -0700]". It
// has no quotes, so it ends before the last of these before the next quote.
func (t *template) endOfName(rest string, i int) int {
	if !t.parts[i].free || i+2 >= len(t.parts) || !strings.HasSuffix(t.parts[i+2].text, `"`) {
		return -1
	}
	end := strings.Index(rest, t.parts[i+2].text)
	return strings.LastIndex(rest[:max(end, 0)], t.parts[i+1].text)
}

// escaped reports whether what follows s is escaped by the backslashes at its end.
func escaped(s string) bool {
	return (len(s)-len(strings.TrimRight(s, `\`)))%2 == 1
}

// unescape undoes the escapes of Apache and nginx: \", \\, \n and the like, and \xhh.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		if s[i] == 'x' && i+2 < len(s) {
			if hi, lo := unhex(s[i+1]), unhex(s[i+2]); hi >= 0 && lo >= 0 {
				b.WriteByte(byte(hi<<4 | lo))
				i += 2
				continue
			}
		}
		if n := strings.IndexByte("abfnrtv", s[i]); n >= 0 {
			b.WriteByte("\a\b\f\n\r\t\v"[n])
		} else {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
