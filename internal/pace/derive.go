package pace

import (
	"fmt"
	"math"
	"math/bits"
	"time"
)

// A Limit is the numbers of one limit: count tokens per period, and the burst.
type Limit struct {
	Count  int64
	Period time.Duration
	Burst  int64 // 0 means Count
}

// Full returns how many tokens a bucket of l holds.
func (l Limit) Full() int64 {
	if l.Burst == 0 {
		return l.Count
	}
	return l.Burst
}

func (l Limit) check() error { return Check(l.Count, l.Period, l.Burst) }

// Share returns an n-th of l, which has passed [Check]. It rounds the burst down, to at least 1. It
// keeps the rate exactly, or rounds it down if its period would be too long for a Duration. If such
// a bucket would take too long to fill, Share returns the slowest bucket there is.
func (l Limit) Share(n int64) Limit {
	if n <= 1 {
		return l
	}
	part := Limit{Count: l.Count, Period: l.Period, Burst: max(l.Full()/n, 1)}
	hi, lo := bits.Mul64(uint64(l.Period), uint64(n))
	if l.Count%n == 0 || hi > 0 || lo > math.MaxInt64 {
		part.Count /= n
	} else {
		part.Period = time.Duration(lo)
	}
	if part.check() != nil {
		return Limit{Count: 1, Period: MaxFill}
	}
	return part
}

// Extend returns l, which has passed [Check], with a bucket that also holds the tokens that flow in
// within d, and how many these are. If there is no such bucket, it returns l itself and 0.
func (l Limit) Extend(d time.Duration) (larger Limit, extra int64) {
	if d <= 0 {
		return l, 0
	}
	p := Of(l.Count, l.Period)
	hi, lo := bits.Mul64(uint64(p.Count), uint64(d))
	if hi >= uint64(p.Period) {
		return l, 0
	}
	n, _ := bits.Div64(hi, lo, uint64(p.Period))
	if n > uint64(math.MaxInt64-l.Full()) {
		return l, 0
	}
	larger = l
	larger.Burst = l.Full() + int64(n)
	if larger.check() != nil {
		return l, 0
	}
	return larger, int64(n)
}

// Nearest returns the count and period of a rate in tokens per second, which must be positive and
// finite. A whole number per second, minute, hour or day stays as it is, and so does one token in a
// whole number of nanoseconds. Nearest cuts any other rate to 9 significant digits, or to fewer
// below 0.1 tokens per second. It rounds no rate up by more than one part in 10^12, which undoes
// the rounding of floating point.
func Nearest(rate float64) (count int64, period time.Duration) {
	near := func(x float64) (int64, bool) {
		n := math.Round(x)
		return int64(n), n >= 1 && n < 1<<53 && math.Abs(x-n) <= n*1e-12
	}
	for _, unit := range []time.Duration{time.Second, time.Minute, time.Hour, 24 * time.Hour} {
		// A count that cannot be kept is near a whole number only because it is large.
		if n, ok := near(rate * unit.Seconds()); ok && exact(n, unit) {
			return n, unit
		}
	}
	if rate < 1e9 {
		if ns := math.Round(1e9 / rate); math.Abs(1e9/rate-ns) <= ns*1e-12 && ns < math.MaxInt64 {
			return 1, time.Duration(ns)
		}
	}
	// Up to nine digits of count over a power of ten nanoseconds.
	ns := int64(1)
	for rate*float64(ns)/1e9 < 1e8 && ns < 1e18 {
		ns *= 10
	}
	return int64(rate * float64(ns) / 1e9), time.Duration(ns)
}

// FromRate returns the limit of tokensPerSecond, which must be finite, and of burst tokens.
func FromRate(tokensPerSecond float64, burst int64) (Limit, error) {
	switch {
	case math.IsNaN(tokensPerSecond) || tokensPerSecond <= 0:
		return Limit{}, fmt.Errorf("rate %v: want a positive number of tokens per second", tokensPerSecond)
	case burst <= 0:
		return Limit{}, fmt.Errorf("burst %d: want at least 1", burst)
	}
	count, period := Nearest(tokensPerSecond)
	l := Limit{Count: count, Period: period, Burst: burst}
	if l.Burst == l.Count {
		l.Burst = 0
	}
	if err := l.check(); err != nil {
		return Limit{}, fmt.Errorf("rate %v with a burst of %d: %w", tokensPerSecond, burst, err)
	}
	return l, nil
}

// Rate returns the rate of l in tokens per second. It is 0 if l is not valid, so that no caller
// takes l for a limit that allows all.
func (l Limit) Rate() float64 {
	if l.check() != nil {
		return 0
	}
	return float64(l.Count) / l.Period.Seconds()
}
