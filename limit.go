package ratelimit

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

// Limit is one token bucket: it is refilled with Count tokens per Period and holds
// at most Burst of them. "100 per minute" admits 100 requests at once, and then one
// every 600 milliseconds; so it may admit up to 200 in the first minute.
//
// Limits are exact or refused: Count over Period (in nanoseconds), in lowest terms, must have a numerator below
// 2^32, and a bucket must be full within 100 years. The zero Limit is not valid, so that a forgotten limit is
// found at start-up.
type Limit struct {
	// Count is the number of tokens added per Period.
	Count int64
	// Period is the time in which Count tokens are added.
	Period time.Duration
	// Burst is the number of tokens the bucket holds. Zero means Count.
	Burst int64
}

// Limits are several limits that must all admit a request.
type Limits []Limit

// PerSecond returns the limit of n tokens per second.
func PerSecond(n int64) Limit { return Limit{Count: n, Period: time.Second} }

// PerMinute returns the limit of n tokens per minute.
func PerMinute(n int64) Limit { return Limit{Count: n, Period: time.Minute} }

// PerHour returns the limit of n tokens per hour.
func PerHour(n int64) Limit { return Limit{Count: n, Period: time.Hour} }

// PerDay returns the limit of n tokens per 24 hours.
func PerDay(n int64) Limit { return Limit{Count: n, Period: 24 * time.Hour} }

// Unlimited returns the limit that admits everything. Its text is "unlimited".
func Unlimited() Limit { return Limit{Count: math.MaxInt64, Period: 1} }

// IsUnlimited reports whether l is [Unlimited].
func (l Limit) IsUnlimited() bool { return l == Unlimited() }

// WithBurst returns l with a bucket that holds n tokens.
func (l Limit) WithBurst(n int64) Limit {
	l.Burst = n
	if n == l.Count {
		l.Burst = 0
	}
	return l
}

// Rate returns the rate of l in tokens per second, [rate.Inf] if it is unlimited.
func (l Limit) Rate() rate.Limit {
	if l.IsUnlimited() {
		return rate.Inf
	}
	return rate.Limit(float64(l.Count) / l.Period.Seconds())
}

// FromRate returns the Limit of r tokens per second and the given burst, as package
// golang.org/x/time/rate has them. [rate.Inf] is [Unlimited], whatever the burst.
// A rate that is not a whole number per second, minute, hour or day, nor one token
// in a whole number of nanoseconds, is cut to 9 significant digits. None is rounded up by more than one
// part in 10^12, which tells such numbers from what floating point makes of them.
func FromRate(r rate.Limit, burst int) (Limit, error) {
	f := float64(r)
	switch {
	case r == rate.Inf:
		return Unlimited(), nil
	case math.IsNaN(f) || f <= 0:
		return Limit{}, fmt.Errorf("ratelimit: rate %v: want a positive number of tokens per second", f)
	case burst <= 0:
		return Limit{}, fmt.Errorf("ratelimit: burst %d: want at least 1", burst)
	}
	l := nearestLimit(f).WithBurst(int64(burst))
	return l, l.check()
}

func nearestLimit(f float64) Limit {
	near := func(x float64) (int64, bool) {
		n := math.Round(x)
		return int64(n), n >= 1 && n < 1<<53 && math.Abs(x-n) <= n*1e-12
	}
	for _, unit := range []time.Duration{time.Second, time.Minute, time.Hour, 24 * time.Hour} {
		if n, ok := near(f * unit.Seconds()); ok {
			l := Limit{Count: n, Period: unit}
			if count, _, _ := l.reduced(); count <= math.MaxUint32 {
				return l // and not one that is near only because it is large
			}
		}
	}
	if f < 1e9 {
		if ns := math.Round(1e9 / f); math.Abs(1e9/f-ns) <= ns*1e-12 && ns < math.MaxInt64 {
			return Limit{Count: 1, Period: time.Duration(ns)}
		}
	}
	// Up to nine digits of count over a power of ten nanoseconds.
	period := int64(1)
	for f*float64(period)/1e9 < 1e8 && period < 1e18 {
		period *= 10
	}
	return Limit{Count: int64(f * float64(period) / 1e9), Period: time.Duration(period)}
}

// maxFill is the longest time a bucket may take to fill, which is also the
// longest time that anything is remembered.
const maxFill = 100 * year

// check reports what is wrong with the numbers of l: that they mean nothing, or
// that the arithmetic of buckets cannot keep to them exactly.
func (l Limit) check() error {
	switch {
	case l == Limit{}:
		return errors.New("the zero Limit: want for example PerMinute(100)")
	case l.Count < 1:
		return fmt.Errorf("count %d: want at least 1", l.Count)
	case l.Period <= 0:
		return fmt.Errorf("period %v: want a positive time", l.Period)
	case l.Burst < 0:
		return fmt.Errorf("burst %d: want at least 1, or 0 for the same as the count", l.Burst)
	case l.IsUnlimited():
		return nil
	case l.Period > maxFill:
		return fmt.Errorf("period %v: want at most 100 years", l.Period)
	}
	count, period, burst := l.reduced()
	if count > math.MaxUint32 {
		return fmt.Errorf("%d per %v cannot be kept exactly: want a rounder number, such as %d", l.Count, l.Period, l.rounder())
	}
	hi, lo := bits.Mul64(uint64(burst), uint64(period))
	if hi >= uint64(count) {
		return fmt.Errorf("a bucket of %d takes more than 100 years to fill: want a smaller burst", burst)
	}
	if ns, _ := bits.Div64(hi, lo, uint64(count)); ns > uint64(maxFill) {
		return fmt.Errorf("a bucket of %d takes more than 100 years to fill: want a smaller burst", burst)
	}
	return nil
}

// rounder returns a count that can be kept exactly, with as many of the digits of l's as can be, or the
// greatest one if there is none.
func (l Limit) rounder() int64 {
	for unit := int64(10); unit <= l.Count; unit *= 10 {
		near := Limit{Count: l.Count / unit * unit, Period: l.Period}
		if count, _, _ := near.reduced(); count <= math.MaxUint32 {
			return near.Count
		}
		if unit > math.MaxInt64/10 {
			break
		}
	}
	return math.MaxUint32
}

// reduced returns the count and the period in nanoseconds in lowest terms, and the burst.
func (l Limit) reduced() (count, period, burst int64) {
	a, b := l.Count, int64(l.Period)
	for b != 0 {
		a, b = b, a%b
	}
	burst = l.Burst
	if burst == 0 {
		burst = l.Count
	}
	return l.Count / a, int64(l.Period) / a, burst
}

// String returns l as text from which [Parse] makes the same Limit, such as
// "100 per minute", "10 per 2 hours" or "100 per minute burst 20".
func (l Limit) String() string {
	if l.IsUnlimited() {
		return "unlimited"
	}
	if l.Count < 1 || l.Period <= 0 || l.Burst < 0 {
		return fmt.Sprintf("invalid limit (%d per %v burst %d)", l.Count, l.Period, l.Burst)
	}
	n, name := periodText(l.Period)
	s := fmt.Sprintf("%d per %s", l.Count, name)
	if n > 1 {
		s = fmt.Sprintf("%d per %d %ss", l.Count, n, name)
	}
	if l.Burst != 0 && l.Burst != l.Count {
		s += fmt.Sprintf(" burst %d", l.Burst)
	}
	return s
}

// String returns the limits joined by "; ", as [Parse] reads them.
func (ls Limits) String() string {
	parts := make([]string, len(ls))
	for i, l := range ls {
		parts[i] = l.String()
	}
	return strings.Join(parts, "; ")
}

// MarshalText implements [encoding.TextMarshaler]. The text is that of String.
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

// MarshalText implements [encoding.TextMarshaler]. The text is that of String.
// It returns an error if there are no limits: no text stands for that.
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
