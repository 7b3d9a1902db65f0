package dashboard

import (
	"fmt"
	"strconv"
	"time"

	"github.com/ratelimit-go/ratelimit/store"
)

// number returns n with a comma between groups of three digits.
func number(n int64) string {
	s := strconv.FormatInt(n, 10)
	first := 0
	if n < 0 {
		first = 1
	}
	for i := len(s) - 3; i > first; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// rate returns a number per second with two digits or more.
func rate(perSecond float64) string {
	switch {
	case perSecond <= 0:
		return "0"
	case perSecond < 0.1:
		return "<0.1"
	case perSecond < 9.95:
		return strconv.FormatFloat(perSecond, 'f', 1, 64)
	}
	return number(int64(perSecond + 0.5))
}

// percent returns a share with up to three digits.
func percent(share float64) string { return strconv.FormatFloat(100*share, 'g', 3, 64) + " %" }

// length returns a time with its two greatest units, rounded up to seconds.
func length(d time.Duration) string {
	s := max(int64((d+time.Second-1)/time.Second), 0)
	for _, unit := range []struct {
		seconds, below int64
		name, lower    string
	}{{86400, 3600, "d", "h"}, {3600, 60, "h", "min"}, {60, 1, "min", "s"}} {
		if s >= unit.seconds {
			text := fmt.Sprintf("%d %s", s/unit.seconds, unit.name)
			if rest := s % unit.seconds / unit.below; rest > 0 {
				text += fmt.Sprintf(" %d %s", rest, unit.lower)
			}
			return text
		}
	}
	return fmt.Sprintf("%d s", s)
}

// latency returns the bound of a bucket.
func latency(d time.Duration) string {
	switch {
	case d == 0:
		return "–"
	case d < 0:
		return "longer"
	case d < time.Millisecond:
		return "≤ " + strconv.FormatInt(d.Microseconds(), 10) + " µs"
	case d < time.Second:
		return "≤ " + strconv.FormatFloat(float64(d.Microseconds())/1000, 'g', 3, 64) + " ms"
	}
	return "≤ " + strconv.FormatFloat(d.Seconds(), 'g', 3, 64) + " s"
}

func clock(t time.Time) string { return t.Format("15:04:05") }

func day(t time.Time) string { return t.Format("Jan 2 15:04:05") }

// stateOf returns the state of the store and its color.
func stateOf(s store.State) (text, class string) {
	switch s {
	case store.Up:
		return "up", "good"
	case store.Down:
		return "down", "bad"
	}
	return string(s), "warn"
}
