package tokenbudget

import "errors"

// maxUsage is how many bytes of a usage are kept.
const maxUsage = 64 << 10

// plain finds the field usage of a JSON object of any length, in bounded memory. Fields that are
// nested deeper do not count: a client can have written them.
type plain struct {
	seen

	event    bool // the object is an event of a stream: the usage of its response counts too
	within   bool // this is in such a response
	length   int64
	depth    int
	inString bool
	escaped  bool
	ended    bool   // nothing more is read: the object is complete, or it is none
	wantName bool   // the next string at the level of usage is a name
	inName   bool   // such a string has begun
	name     []byte // its beginning
	keeping  bool   // this is the value of usage
	value    []byte
}

func (s *plain) feed(p []byte) {
	s.length += int64(len(p))
	for _, c := range p {
		if s.ended {
			return
		}
		switch {
		case s.inString:
			s.inside(c)
		default:
			s.outside(c)
		}
	}
}

// inside reads a byte of a string.
func (s *plain) inside(c byte) {
	s.keep(c)
	switch {
	case s.escaped:
		s.escaped = false
	case c == '\\':
		s.escaped = true
	case c == '"':
		s.inString, s.inName = false, false
		return
	}
	if s.inName && len(s.name) < 16 {
		s.name = append(s.name, c)
	}
}

// outside reads a byte between strings.
func (s *plain) outside(c byte) {
	switch c {
	case ' ', '\t', '\r', '\n':
		return
	case '"':
		s.keep(c)
		s.inString = true
		if s.depth == s.level() && s.wantName {
			s.inName, s.name = true, s.name[:0]
		}
	case '{', '[':
		s.keep(c)
		s.depth++
		s.within = s.within || s.event && s.depth == 2 && c == '{' && string(s.name) == "response"
		s.wantName = s.depth == s.level()
		s.ended = s.depth == 1 && c == '['
	case '}', ']':
		if s.depth == s.level() {
			s.endValue()
			s.within = false
		}
		s.keep(c)
		s.depth--
		s.complete = s.depth == 0
		s.ended = s.depth <= 0
	case ',':
		if s.depth == s.level() {
			s.endValue()
			s.wantName = true
		}
		s.keep(c)
	case ':':
		s.keep(c)
		if s.depth == s.level() && s.wantName {
			s.wantName = false
			s.keeping = string(s.name) == "usage"
		}
	default:
		s.keep(c)
	}
	if s.depth == 0 && !s.complete {
		s.ended = true // it is no object
	}
}

// level is how deep the names are among which usage counts.
func (s *plain) level() int {
	if s.within {
		return 2
	}
	return 1
}

func (s *plain) keep(c byte) {
	if !s.keeping {
		return
	}
	if len(s.value) >= maxUsage {
		s.keeping, s.value = false, nil
		s.failed(errors.New("its usage is longer than 64 KiB"))
		return
	}
	s.value = append(s.value, c)
}

func (s *plain) endValue() {
	if !s.keeping {
		return
	}
	if _, err := s.counted.add(s.value); err != nil {
		s.failed(err)
	}
	s.keeping, s.value = false, nil
}

func (s *plain) end() *seen {
	s.final = s.complete && s.counted.known
	if !s.final {
		s.text = s.length
	}
	return &s.seen
}
