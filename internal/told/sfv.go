package told

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
)

// The parser reads Lists of Items and Dictionaries of RFC 9651, section 4.2, without inner lists.
// No version of the draft has inner lists.

// maxMembers bounds the members of a List or Dictionary, and the parameters of an Item.
const maxMembers = 64

type kind int

const (
	isInteger kind = iota + 1
	isDecimal
	isString
	isToken
	isBytes
	isBoolean
	isOther // Date or Display String
)

// An item is an Item with its parameters. A member of a Dictionary has a key too.
type item struct {
	key    string
	value  bare
	params map[string]bare
}

// A bare is a bare Item.
type bare struct {
	kind   kind
	text   string // of a String, Token or Byte Sequence
	number int64  // of an Integer, and of a Boolean
}

var errSyntax = errors.New("want a structured field (RFC 9651)")

// A scanner is the rest of a field. After an error, its methods return zero values.
type scanner struct {
	rest   string
	failed bool
}

// parseList returns the Items of a List.
func parseList(text string) ([]item, error) {
	return parseMembers(text, func(s *scanner) item { return s.item() })
}

// parseDictionary returns the members of a Dictionary. If a key appears twice, the last one counts.
func parseDictionary(text string) ([]item, error) {
	return parseMembers(text, func(s *scanner) item {
		key := s.key()
		if s.take('=') {
			it := s.item()
			it.key = key
			return it
		}
		return item{key: key, value: bare{kind: isBoolean, number: 1}, params: s.params()}
	})
}

func parseMembers(text string, member func(*scanner) item) ([]item, error) {
	s := &scanner{rest: strings.Trim(text, " ")}
	var all []item
	for s.rest != "" {
		it := member(s)
		if s.failed || len(all) == maxMembers {
			return nil, errSyntax
		}
		all = append(all, it)
		s.rest = strings.TrimLeft(s.rest, " \t")
		if s.rest == "" {
			break
		}
		if !s.take(',') {
			return nil, errSyntax
		}
		if s.rest = strings.TrimLeft(s.rest, " \t"); s.rest == "" {
			return nil, errSyntax
		}
	}
	return all, nil
}

func (s *scanner) fail() bare {
	s.failed, s.rest = true, ""
	return bare{}
}

// take skips c if it comes next, and reports whether it does.
func (s *scanner) take(c byte) bool {
	if s.rest == "" || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// while returns the longest prefix of bytes in the given set, and skips it.
func (s *scanner) while(in func(c byte) bool) string {
	n := 0
	for n < len(s.rest) && in(s.rest[n]) {
		n++
	}
	text := s.rest[:n]
	s.rest = s.rest[n:]
	return text
}

func (s *scanner) item() item { return item{value: s.bare(), params: s.params()} }

func (s *scanner) params() map[string]bare {
	var params map[string]bare
	for s.take(';') {
		s.rest = strings.TrimLeft(s.rest, " ")
		key, value := s.key(), bare{kind: isBoolean, number: 1}
		if s.take('=') {
			value = s.bare()
		}
		if params == nil {
			params = map[string]bare{}
		}
		if params[key] = value; s.failed || len(params) > maxMembers {
			s.fail()
			return nil
		}
	}
	return params
}

func (s *scanner) key() string {
	if s.rest == "" || !isLower(s.rest[0]) && s.rest[0] != '*' {
		s.fail()
		return ""
	}
	return s.while(func(c byte) bool { return isLower(c) || isDigit(c) || strings.IndexByte("_-.*", c) >= 0 })
}

func (s *scanner) bare() bare {
	if s.rest == "" {
		return s.fail()
	}
	switch c := s.rest[0]; {
	case c == '-' || isDigit(c):
		return s.number()
	case c == '"':
		return s.text()
	case c == ':':
		return s.bytes()
	case c == '?':
		if len(s.rest) < 2 || s.rest[1] != '0' && s.rest[1] != '1' {
			return s.fail()
		}
		b := bare{kind: isBoolean, number: int64(s.rest[1] - '0')}
		s.rest = s.rest[2:]
		return b
	case c == '@':
		s.rest = s.rest[1:]
		if s.number().kind != isInteger {
			return s.fail()
		}
		return bare{kind: isOther}
	case c == '%':
		return s.display()
	case c == '*' || isLower(c) || 'A' <= c && c <= 'Z':
		text := s.while(func(c byte) bool {
			letter := isLower(c) || 'A' <= c && c <= 'Z'
			return letter || isDigit(c) || strings.IndexByte("!#$%&'*+-.^_`|~:/", c) >= 0
		})
		return bare{kind: isToken, text: text}
	}
	return s.fail()
}

func (s *scanner) number() bare {
	minus := s.take('-')
	whole := s.while(isDigit)
	if whole == "" || len(whole) > 15 {
		return s.fail()
	}
	if s.take('.') {
		fraction := s.while(isDigit)
		if len(whole) > 12 || fraction == "" || len(fraction) > 3 {
			return s.fail()
		}
		return bare{kind: isDecimal}
	}
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return s.fail()
	}
	if minus {
		n = -n
	}
	return bare{kind: isInteger, number: n}
}

func (s *scanner) text() bare {
	var b strings.Builder
	for i := 1; i < len(s.rest); i++ {
		switch c := s.rest[i]; {
		case c == '"':
			s.rest = s.rest[i+1:]
			return bare{kind: isString, text: b.String()}
		case c == '\\':
			if i++; i == len(s.rest) || s.rest[i] != '"' && s.rest[i] != '\\' {
				return s.fail()
			}
			b.WriteByte(s.rest[i])
		case c < 0x20 || c > 0x7e:
			return s.fail()
		default:
			b.WriteByte(c)
		}
	}
	return s.fail()
}

func (s *scanner) bytes() bare {
	inside, after, found := strings.Cut(s.rest[1:], ":")
	if !found || strings.ContainsAny(inside, "\r\n") {
		return s.fail()
	}
	encoding := base64.StdEncoding
	if len(inside)%4 != 0 { // section 4.2.7: a parser should allow missing padding
		encoding = base64.RawStdEncoding
	}
	data, err := encoding.DecodeString(inside)
	if err != nil {
		return s.fail()
	}
	s.rest = after
	return bare{kind: isBytes, text: string(data)}
}

// display skips a Display String: %"...", with %xx for other bytes.
func (s *scanner) display() bare {
	if len(s.rest) < 2 || s.rest[1] != '"' {
		return s.fail()
	}
	end := strings.IndexByte(s.rest[2:], '"')
	if end < 0 {
		return s.fail()
	}
	for _, c := range []byte(s.rest[2 : 2+end]) {
		if c < 0x20 || c > 0x7e {
			return s.fail()
		}
	}
	s.rest = s.rest[2+end+1:]
	return bare{kind: isOther}
}

func isLower(c byte) bool { return 'a' <= c && c <= 'z' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }
