package limittext

import (
	"fmt"
	"time"
)

// Format returns l as text from which [Parse] makes the same Limit, such as "10 per 2 hours". Count
// and Period must be positive. Format does not know the text "unlimited".
func Format(l Limit) string {
	n, unit := period(l.Period)
	s := fmt.Sprintf("%d per %s", l.Count, unit)
	if n > 1 {
		s = fmt.Sprintf("%d per %d %ss", l.Count, n, unit)
	}
	if l.Burst != 0 && l.Burst != l.Count {
		s += fmt.Sprintf(" burst %d", l.Burst)
	}
	return s
}

// period returns d as a number of the longest unit that divides it.
func period(d time.Duration) (n int64, name string) {
	for _, u := range units() {
		n, name = int64(d/u.d), u.words[0]
		if d%u.d == 0 {
			break
		}
	}
	return n, name
}

// A unit is a unit of time and the words for it. Format prints the first word.
type unit struct {
	d     time.Duration
	words []string
}

// units returns the units, the longest first. The nanosecond divides every period.
func units() []unit {
	const day = 24 * time.Hour
	return []unit{
		{365 * day, []string{"year", "years", "y"}},
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
