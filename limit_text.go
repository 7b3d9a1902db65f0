package ratelimit

import (
	"fmt"

	"github.com/ratelimit-go/ratelimit/internal/limittext"
)

// ParseError says why [Parse] rejected a text.
type ParseError struct {
	Text       string // the whole text
	Offset     int    // where in Text the mistake is, in bytes
	Reason     string // what is wrong there
	Suggestion string // what would be right; may be empty
}

// Error returns the text, cut to 80 bytes, with the place of the mistake, what is wrong and what
// would be right.
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

// Parse returns the limits that text describes, separated by ";", "," or "|". Each is
//
//	[count] per [multiple] unit [burst n]
//
// such as "100 per minute", "10/second" or "1_000 per 2 hours burst 50". Units are second, minute,
// hour, day, week, month (30 days) and year (365 days), their plurals, millisecond, microsecond,
// nanosecond, and s, sec, m, min, h, hr, d, w, y, ms, us, ns. "/" means "per". Letter case does not
// matter and spaces are optional. "unlimited" stands for no limit. The notation is Flask-Limiter's.
//
// The error is a [*ParseError]. Parse rejects everything else: zero and negative counts, fractions,
// unknown words, empty members, the same limit twice.
func Parse(text string) (Limits, error) {
	parsed, err := limittext.Parse(text, func(l limittext.Limit) error { return Limit(l).check() })
	if err != nil {
		return nil, &ParseError{text, err.Offset, err.Reason, err.Suggestion}
	}
	limits := make(Limits, len(parsed))
	for i, l := range parsed {
		limits[i] = Limit(l)
	}
	return limits, nil
}

// MustParse is like [Parse] but panics if the text is not valid. Use it for limits that are written
// in the program, like [regexp.MustCompile] for patterns.
func MustParse(text string) Limits {
	limits, err := Parse(text)
	if err != nil {
		panic(err.Error())
	}
	return limits
}
