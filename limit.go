package ratelimit

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/ratelimit-go/ratelimit/internal/limittext"
	"github.com/ratelimit-go/ratelimit/internal/pace"
)

// Limit is one token bucket: it is refilled with Count tokens per Period and holds at most Burst
// tokens. "100 per minute" allows 100 requests at once, and then one every 600 milliseconds. So it
// may allow up to 200 in the first minute; a smaller Burst makes that less.
//
// A Limit is exact or it is a mistake: Count over Period in nanoseconds, in lowest terms, must have
// a numerator below 2^32, and a bucket must be full within 100 years. The zero Limit is not valid,
// so New finds a limit that was forgotten. Parse("unlimited") returns the limit that allows all.
type Limit struct {
	// Count is the number of tokens added per Period.
	Count int64
	// Period is the time in which Count tokens are added.
	Period time.Duration
	// Burst is the number of tokens that the bucket holds. Zero means Count.
	Burst int64
}

// Limits are several limits, all of which must allow a request.
type Limits []Limit

// maxLimits is how many limits a rule can have.
const maxLimits = 16

// Per returns the limit of n tokens per period, such as Per(100, time.Minute).
func Per(n int64, period time.Duration) Limit { return Limit{Count: n, Period: period} }

// AtMost returns a limit that allows at most n tokens in any time of the length of window, for
// limits that are sold: "1000 a day" never becomes 1999. A bucket allows its burst and what flows
// in, so AtMost splits n into a burst and a rate, half each: AtMost(100, time.Minute) is "50 per
// minute burst 50". Its text is "100 per minute strict". For another split set Burst below n, and
// Count to the rest. If n is odd, the burst is greater by 1. AtMost(1, window) is Per(1, window).
func AtMost(n int64, window time.Duration) Limit {
	l, _ := pace.Strict(n, window, 0) // New finds what is wrong with n and window
	return Limit(l)
}

// unlimited returns the limit that allows everything. Its text is "unlimited".
func unlimited() Limit { return Limit{Count: math.MaxInt64, Period: 1} }

func (l Limit) isUnlimited() bool { return l == unlimited() }

// Rate returns the tokens per second: [rate.Inf] if l is unlimited, and 0 if l is not valid.
func (l Limit) Rate() rate.Limit {
	if l.isUnlimited() {
		return rate.Inf
	}
	return rate.Limit(pace.Limit(l).Rate())
}

// FromRate returns the Limit of r tokens per second and the given burst, as package
// golang.org/x/time/rate defines them. [rate.Inf] is the limit "unlimited" with any burst. A rate
// is cut to at most 9 significant digits unless it is a whole number per second, minute, hour or
// day, or one token in a whole number of nanoseconds. No rate is rounded up by more than one part
// in 10^12, which undoes the rounding of floating point.
func FromRate(r rate.Limit, burst int) (Limit, error) {
	if r >= rate.Inf {
		return unlimited(), nil
	}
	l, err := pace.FromRate(float64(r), int64(burst))
	if err != nil {
		return Limit{}, fmt.Errorf("ratelimit: %w", err)
	}
	return Limit(l), nil
}

// check reports what is wrong with the numbers of l.
func (l Limit) check() error {
	switch {
	case l == Limit{}:
		return errors.New("the zero Limit: want for example Per(100, time.Minute)")
	case l.isUnlimited():
		return nil
	}
	return pace.Check(l.Count, l.Period, l.Burst)
}

// check reports what is wrong with limits that are about to be compiled.
func (ls Limits) check() error {
	switch {
	case len(ls) == 0:
		return errors.New(`no limits: want for example MustParse("100 per minute")`)
	case len(ls) > maxLimits:
		return fmt.Errorf("%d limits: want at most %d", len(ls), maxLimits)
	case len(ls) > 1 && slices.Contains(ls, unlimited()):
		return errors.New("unlimited beside other limits: want it alone")
	}
	var errs []error
	for i, l := range ls {
		if err := cmp.Or(l.check(), pace.CheckFill(pace.Limit(l))); err != nil {
			errs = append(errs, fmt.Errorf("limit %d: %w", i, err))
		}
	}
	return errors.Join(errs...)
}

// String returns l as text from which [Parse] makes the same Limit, such as "100 per minute", "10
// per 2 hours" or "100 per minute burst 20".
func (l Limit) String() string {
	switch {
	case l.isUnlimited():
		return "unlimited"
	case l.Count < 1 || l.Period <= 0 || l.Burst < 0:
		return fmt.Sprintf("invalid limit (%d per %v burst %d)", l.Count, l.Period, l.Burst)
	}
	return limittext.Format(limittext.Limit(l))
}

// String returns the limits joined by "; ", as [Parse] reads them.
func (ls Limits) String() string {
	parts := make([]string, len(ls))
	for i, l := range ls {
		parts[i] = l.String()
	}
	return strings.Join(parts, "; ")
}

// MarshalText implements [encoding.TextMarshaler]. The text is the text of String.
func (l Limit) MarshalText() ([]byte, error) {
	if err := l.check(); err != nil {
		return nil, fmt.Errorf("ratelimit: %w", err)
	}
	return []byte(l.String()), nil
}

// UnmarshalText implements [encoding.TextUnmarshaler]. The text must be one limit.
func (l *Limit) UnmarshalText(text []byte) error {
	ls, err := Parse(string(text))
	if err != nil {
		return err
	}
	if len(ls) != 1 {
		return &ParseError{Text: string(text), Reason: fmt.Sprintf("%d limits where one is wanted", len(ls))}
	}
	*l = ls[0]
	return nil
}

// MarshalText implements [encoding.TextMarshaler]. The text is the text of String. It returns an
// error if there are no limits, because no text stands for that.
func (ls Limits) MarshalText() ([]byte, error) {
	if len(ls) == 0 {
		return nil, errors.New("ratelimit: no limits to write as text")
	}
	for _, l := range ls {
		if _, err := l.MarshalText(); err != nil {
			return nil, err
		}
	}
	return []byte(ls.String()), nil
}

// UnmarshalText implements [encoding.TextUnmarshaler] by [Parse].
func (ls *Limits) UnmarshalText(text []byte) error {
	parsed, err := Parse(string(text))
	if err == nil {
		*ls = parsed
	}
	return err
}

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
	mistake := limittext.Error{Offset: e.Offset, Reason: e.Reason, Suggestion: e.Suggestion}
	return "ratelimit: " + mistake.In(e.Text)
}

// Parse returns the limits that text describes, separated by ";", "," or "|". Each is
//
//	[count] per [multiple] unit [strict] [burst n]
//
// such as "100 per minute", "10/second" or "1_000 per 2 hours burst 50". Units are second, minute,
// hour, day, week, month (30 days) and year (365 days), their plurals, millisecond, microsecond,
// nanosecond, and s, sec, m, min, h, hr, d, w, y, ms, us, ns. "/" means "per". Letter case does not
// matter and spaces are optional. "strict" means the limit of [AtMost], with the burst behind it,
// if any. "unlimited" stands for no limit. The notation is Flask-Limiter's.
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
