// Package limittext reads limits from text, such as "100 per minute; 1000 per day", and writes
// limits as text.
package limittext

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ratelimit-go/ratelimit/internal/pace"
)

// A Limit is the numbers of one limit: count tokens per period, and the burst.
type Limit = pace.Limit

// Error says where a text is wrong, why, and what would be right.
type Error struct {
	Offset     int // in the text, in bytes
	Reason     string
	Suggestion string // may be empty
}

// In returns the text, cut to 80 bytes, with the place of the mistake, what is wrong and what would
// be right.
func (e Error) In(text string) string {
	if len(text) > 80 {
		text = text[:80] + "..."
	}
	s := fmt.Sprintf("limit %q, offset %d: %s", text, e.Offset, e.Reason)
	if e.Suggestion != "" {
		s += "; " + e.Suggestion
	}
	return s
}

// The bounds of a text.
const (
	maxText   = 1024 // bytes
	maxLimits = 16
)

// Parse returns the limits that text describes, separated by ";", "," or "|". It calls check with
// the numbers of each limit. If check returns an error, its text is the Reason of the Error. The
// function check must reject all numbers that [pace.Check] rejects, because Parse compares limits
// by their pace. The text "unlimited" is the Limit of [math.MaxInt64] tokens per nanosecond. Parse
// does not check it.
func Parse(text string, check func(Limit) error) ([]Limit, *Error) {
	if len(text) > maxText {
		return nil, fail(maxText, "the text is too long", fmt.Sprintf("want at most %d bytes", maxText))
	}
	if strings.EqualFold(strings.TrimSpace(text), "unlimited") {
		return []Limit{{Count: math.MaxInt64, Period: 1}}, nil
	}
	p := parser{text: text, check: check}
	return p.limits()
}

func fail(at int, reason, suggestion string) *Error { return &Error{at, reason, suggestion} }

// A parser reads text from pos on.
type parser struct {
	text  string
	pos   int
	check func(Limit) error
}

func (p *parser) limits() ([]Limit, *Error) {
	var limits []Limit
	for {
		p.space()
		start := p.pos
		l, err := p.limit()
		if err != nil {
			return nil, err
		}
		if bad := p.check(l); bad != nil {
			return nil, fail(start, bad.Error(), "")
		}
		for _, other := range limits {
			if sameBucket(l, other) {
				return nil, fail(start, "the same limit twice", "leave one out")
			}
		}
		limits = append(limits, l)
		if p.space(); p.pos == len(p.text) {
			return limits, nil
		}
		if !strings.ContainsRune(";,|", rune(p.text[p.pos])) {
			return nil, fail(p.pos, fmt.Sprintf("unexpected %q", p.char()), `separate limits by ";"`)
		}
		if len(limits) == maxLimits {
			return nil, fail(p.pos, "too many limits", fmt.Sprintf("want at most %d", maxLimits))
		}
		p.pos++
	}
}

func sameBucket(a, b Limit) bool {
	return pace.Of(a.Count, a.Period) == pace.Of(b.Count, b.Period) && a.Full() == b.Full()
}

// limit reads one member. The position is at its first character.
func (p *parser) limit() (l Limit, err *Error) {
	if l.Count, err = p.number("count"); err != nil {
		return l, err
	}
	if err = p.per(); err != nil {
		return l, err
	}
	if l.Period, err = p.period(); err != nil {
		return l, err
	}
	strict := p.take("strict")
	p.space()
	at := p.pos
	if l.Burst, err = p.burst(); err != nil {
		return l, err
	}
	if strict {
		var ok bool
		if l, ok = pace.Strict(l.Count, l.Period, l.Burst); !ok {
			return l, fail(at, "the burst leaves no tokens to refill",
				`want a burst below the count, as in "100 per minute strict burst 20"`)
		}
	}
	if l.Burst == l.Count {
		l.Burst = 0
	}
	return l, nil
}

// take reads the given word if it comes next.
func (p *parser) take(word string) bool {
	p.space()
	at := p.pos
	if p.word() == word {
		return true
	}
	p.pos = at
	return false
}

// burst reads "burst" and a number. It returns 0 if the member ends before that.
func (p *parser) burst() (int64, *Error) {
	p.space()
	at := p.pos
	switch p.word() {
	case "":
		return 0, nil
	case "burst":
		if p.space(); strings.HasPrefix(p.text[p.pos:], "=") || strings.HasPrefix(p.text[p.pos:], ":") {
			return 0, fail(p.pos, fmt.Sprintf("unexpected %q", p.char()),
				`write the burst as in "100 per minute burst 20"`)
		}
		return p.number("burst")
	}
	return 0, fail(at, fmt.Sprintf("unexpected %q", p.text[at:p.pos]),
		`only "strict", and "burst" and a number, may follow the unit`)
}

func (p *parser) per() *Error {
	p.space()
	at := p.pos
	if strings.HasPrefix(p.text[at:], "/") {
		p.pos++
		return nil
	}
	if len(p.text) >= at+3 && strings.EqualFold(p.text[at:at+3], "per") {
		p.pos += 3
		return nil
	}
	if w := p.word(); w != "" {
		return fail(at, fmt.Sprintf("unexpected word %q", w),
			`write the count and then "per", as in "100 per minute"`)
	}
	if strings.HasPrefix(p.text[at:], ",") && p.isDigit(at+1) {
		return fail(at, "the count has a comma", `group digits as in "1_000 per hour"`)
	}
	return fail(at, `"per" or "/" is missing`, `write for example "100 per minute"`)
}

// period reads a unit and the number before it, which may be missing.
func (p *parser) period() (time.Duration, *Error) {
	p.space()
	at, n := p.pos, int64(1)
	if p.pos < len(p.text) && !isLetter(p.text[p.pos]) {
		var err *Error
		if n, err = p.number("multiple"); err != nil {
			return 0, err
		}
		p.space()
	}
	d, err := p.unit()
	switch {
	case err != nil:
		return 0, err
	case n > int64(math.MaxInt64/d):
		return 0, fail(at, "the period is too long", "want at most 100 years")
	}
	return time.Duration(n) * d, nil
}

func (p *parser) unit() (time.Duration, *Error) {
	at := p.pos
	word := p.word()
	if word == "" {
		return 0, fail(at, "the unit is missing", "write second, minute, hour, day, week, month or year")
	}
	for _, u := range units() {
		if slices.Contains(u.words, word) {
			return u.d, nil
		}
	}
	return 0, fail(at, fmt.Sprintf("unknown unit %q", word), "use "+nearestUnit(word))
}

// number reads a positive whole number. Its digits can be grouped by "_". The parameter what is
// its name in errors.
func (p *parser) number(what string) (int64, *Error) {
	at, n := p.pos, int64(0)
	for ; p.isDigit(p.pos) || p.isGrouping(); p.pos++ {
		c := p.text[p.pos]
		if c == '_' {
			continue
		}
		if n > (math.MaxInt64-9)/10 {
			return 0, fail(at, "the "+what+" is too large", "")
		}
		n = n*10 + int64(c-'0')
	}
	switch {
	case p.pos == at:
		example := "100 per minute"
		if what == "burst" {
			example += " burst 20"
		}
		return 0, fail(at, "the "+what+" is missing: want a positive whole number",
			`write for example "`+example+`"`)
	case strings.HasPrefix(p.text[p.pos:], "."):
		return 0, fail(p.pos, "the "+what+" has a fraction",
			`write whole numbers: "3 per 2 seconds" for 1.5 per second`)
	case n == 0:
		return 0, fail(at, "the "+what+" is zero", "want at least 1")
	}
	return n, nil
}

// isDigit reports whether a digit is at the position i.
func (p *parser) isDigit(i int) bool {
	return i < len(p.text) && p.text[i] >= '0' && p.text[i] <= '9'
}

// isGrouping reports whether the next character is a "_" between two digits.
func (p *parser) isGrouping() bool {
	return p.pos > 0 && strings.HasPrefix(p.text[p.pos:], "_") && p.isDigit(p.pos-1) && p.isDigit(p.pos+1)
}

func (p *parser) space() {
	for p.pos < len(p.text) && strings.IndexByte(" \t\r\n\v\f", p.text[p.pos]) >= 0 {
		p.pos++
	}
}

// word reads letters, and returns them in lower case.
func (p *parser) word() string {
	at := p.pos
	for p.pos < len(p.text) && isLetter(p.text[p.pos]) {
		p.pos++
	}
	return strings.ToLower(p.text[at:p.pos])
}

// char returns the next character.
func (p *parser) char() string {
	r, _ := utf8.DecodeRuneInString(p.text[p.pos:])
	return string(r)
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
