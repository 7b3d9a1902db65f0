package ratelimit

import (
	"fmt"
	"math"
	"strings"
	"time"
)

const (
	day  = 24 * time.Hour
	year = 365 * day
)

// unit is a unit of time and the words for it. The first one is printed.
type unit struct {
	d     time.Duration
	words []string
}

// units returns the units of limit text, the longest first.
func units() []unit {
	return []unit{
		{year, []string{"year", "years", "y"}},
		{30 * day, []string{"month", "months"}},
		{7 * day, []string{"week", "weeks", "w"}},
		{day, []string{"day", "days", "d"}},
		{time.Hour, []string{"hour", "hours", "h", "hr", "hrs"}},
		{time.Minute, []string{"minute", "minutes", "m", "min", "mins"}},
		{time.Second, []string{"second", "seconds", "s", "sec", "secs"}},
		{time.Millisecond, []string{"millisecond", "milliseconds", "ms"}},
		{time.Microsecond, []string{"microsecond", "microseconds", "us"}},
		{time.Nanosecond, []string{"nanosecond", "nanoseconds", "ns"}},
	}
}

func periodText(d time.Duration) (n int64, name string) {
	for _, u := range units() {
		if d%u.d == 0 {
			return int64(d / u.d), u.words[0]
		}
	}
	return int64(d), "nanosecond"
}

// ParseError says why a limit text was refused.
type ParseError struct {
	Text       string // the whole text
	Offset     int    // where in Text the mistake is, in bytes
	Reason     string // what is wrong there
	Suggestion string // what would be right; may be empty
}

// Error returns the text, cut to 80 bytes, with the place of the mistake, what is
// wrong and what would be right.
func (e *ParseError) Error() string {
	text := e.Text
	if len(text) > 80 {
		text = text[:80] + "..."
	}
	s := fmt.Sprintf("ratelimit: limit %q, offset %d: %s", text, e.Offset, e.Reason)
	if e.Suggestion != "" {
		s += "; " + e.Suggestion
	}
	return s
}

const (
	maxLimitText = 1024
	maxLimits    = 16
)

// Parse returns the limits that text describes, separated by ";", "," or "|". Each is
//
//	[count] per [multiple] unit [burst n]
//
// such as "100 per minute", "10/second" or "1_000 per 2 hours burst 50". The units
// are second, minute, hour, day, week, month (30 days) and year (365 days), their
// plurals, millisecond, microsecond and nanosecond, and s, sec, m, min, h, hr, d, w, y, ms, us
// and ns. "/" means "per". Letter case does not matter and spaces are optional. The
// word "unlimited" stands for no limit. This is the notation of Flask-Limiter, and
// more (its year has 360 days).
//
// The error is a [*ParseError]. Whatever is not a limit is refused: zero and negative
// counts, fractions, unknown words, empty members, the same limit twice.
func Parse(text string) (Limits, error) {
	if len(text) > maxLimitText {
		return nil, &ParseError{text, maxLimitText, "the text is too long", fmt.Sprintf("want at most %d bytes", maxLimitText)}
	}
	p := parser{text: text}
	if strings.EqualFold(strings.TrimSpace(text), "unlimited") {
		return Limits{Unlimited()}, nil
	}
	limits, err := p.limits()
	if err != nil {
		return nil, err
	}
	return limits, nil
}

// MustParse is like [Parse] but panics if the text is not valid. It is for limits
// written in the program, as regexp.MustCompile is for patterns.
func MustParse(text string) Limits {
	limits, err := Parse(text)
	if err != nil {
		panic(err.Error())
	}
	return limits
}

type parser struct {
	text string
	pos  int
}

func (p *parser) fail(at int, reason, suggestion string) *ParseError {
	return &ParseError{p.text, at, reason, suggestion}
}

func (p *parser) limits() (Limits, *ParseError) {
	var limits Limits
	for {
		p.space()
		start := p.pos
		l, err := p.limit()
		if err != nil {
			return nil, err
		}
		if bad := l.check(); bad != nil {
			return nil, p.fail(start, bad.Error(), "")
		}
		for _, other := range limits {
			if sameBucket(l, other) {
				return nil, p.fail(start, "the same limit twice", "leave one out")
			}
		}
		limits = append(limits, l)
		if p.space(); p.pos == len(p.text) {
			return limits, nil
		}
		if !strings.ContainsRune(";,|", rune(p.text[p.pos])) {
			return nil, p.fail(p.pos, fmt.Sprintf("unexpected %q", p.char()), `separate limits by ";"`)
		}
		if len(limits) == maxLimits {
			return nil, p.fail(p.pos, "too many limits", fmt.Sprintf("want at most %d", maxLimits))
		}
		p.pos++
	}
}

func sameBucket(a, b Limit) bool {
	ac, ap, ab := a.reduced()
	bc, bp, bb := b.reduced()
	return ac == bc && ap == bp && ab == bb
}

// limit reads one member. The position is at its first character.
func (p *parser) limit() (l Limit, err *ParseError) {
	if l.Count, err = p.number("count"); err != nil {
		return l, err
	}
	if err = p.per(); err != nil {
		return l, err
	}
	if l.Period, err = p.period(); err != nil {
		return l, err
	}
	p.space()
	if at := p.pos; p.word() == "burst" {
		p.space()
		n, err := p.number("burst")
		if err != nil {
			return l, err
		}
		return l.WithBurst(n), nil
	} else if p.pos != at {
		return l, p.fail(at, fmt.Sprintf("unexpected %q", p.text[at:p.pos]), `only "burst" and a number may follow the unit`)
	}
	return l, nil
}

func (p *parser) per() *ParseError {
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
		return p.fail(at, fmt.Sprintf("unexpected word %q", w), `write the count and then "per", as in "100 per minute"`)
	}
	if len(p.text) > at+1 && p.text[at] == ',' && isDigit(p.text[at+1]) {
		return p.fail(at, "the count has a comma", `group digits as in "1_000 per hour"`)
	}
	return p.fail(at, `"per" or "/" is missing`, `write for example "100 per minute"`)
}

func (p *parser) period() (time.Duration, *ParseError) {
	p.space()
	at, n := p.pos, int64(1)
	if p.pos < len(p.text) && !isLetter(p.text[p.pos]) {
		var err *ParseError
		if n, err = p.number("multiple"); err != nil {
			return 0, err
		}
		p.space()
	}
	unitAt := p.pos
	word := p.word()
	for _, u := range units() {
		for _, w := range u.words {
			if w != word {
				continue
			}
			if n > int64(math.MaxInt64/u.d) {
				return 0, p.fail(at, "the period is too long", "want at most 100 years")
			}
			return time.Duration(n) * u.d, nil
		}
	}
	if word == "" {
		return 0, p.fail(unitAt, "the unit is missing", "write second, minute, hour, day, week, month or year")
	}
	return 0, p.fail(unitAt, fmt.Sprintf("unknown unit %q", word), "use "+nearestUnit(word))
}

// number reads a positive whole number, its digits perhaps grouped by "_".
func (p *parser) number(what string) (int64, *ParseError) {
	at, n := p.pos, int64(0)
	for ; p.pos < len(p.text); p.pos++ {
		c := p.text[p.pos]
		if c == '_' && p.pos > at && p.pos+1 < len(p.text) && isDigit(p.text[p.pos-1]) && isDigit(p.text[p.pos+1]) {
			continue
		}
		if !isDigit(c) {
			break
		}
		if n > (math.MaxInt64-9)/10 {
			return 0, p.fail(at, "the "+what+" is too large", "")
		}
		n = n*10 + int64(c-'0')
	}
	switch {
	case p.pos == at:
		return 0, p.fail(at, "the "+what+" is missing: want a positive whole number", `write for example "100 per minute"`)
	case p.pos < len(p.text) && p.text[p.pos] == '.':
		return 0, p.fail(p.pos, "the "+what+" has a fraction", `write whole numbers: "3 per 2 seconds" for 1.5 per second`)
	case n == 0:
		return 0, p.fail(at, "the "+what+" is zero", "want at least 1")
	}
	return n, nil
}

func (p *parser) space() {
	for p.pos < len(p.text) && strings.IndexByte(" \t\r\n\v\f", p.text[p.pos]) >= 0 {
		p.pos++
	}
}

// word reads letters, in lower case.
func (p *parser) word() string {
	at := p.pos
	for p.pos < len(p.text) && isLetter(p.text[p.pos]) {
		p.pos++
	}
	return strings.ToLower(p.text[at:p.pos])
}

func (p *parser) char() string {
	for _, r := range p.text[p.pos:] {
		return string(r)
	}
	return ""
}

func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// nearestUnit returns the unit whose name begins most like word.
func nearestUnit(word string) string {
	best, length := "second, minute, hour, day, week, month or year", 1
	for _, u := range units() {
		n := 0
		for n < len(word) && n < len(u.words[0]) && word[n] == u.words[0][n] {
			n++
		}
		if n > length {
			best, length = u.words[0], n
		}
	}
	return best
}
