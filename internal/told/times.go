package told

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Numbers from these on are instants since 1970, in the unit of the name. Smaller ones are times.
const (
	fromSeconds      = 1e8 // 1973; as a time, three years
	fromMilliseconds = 1e11
	fromMicroseconds = 1e14
	fromNanoseconds  = 1e17
)

var errTime = errors.New("want a number, a date or a duration such as 6m0s")

// until reads a wait: seconds, an instant since 1970, a date, or a duration such as 6m0s. It
// returns the wait from now on, and whether the text was an instant.
func (r *reader) until(text string) (wait time.Duration, instant bool, err error) {
	if isNumber(text) {
		n, err := strconv.ParseFloat(text, 64)
		switch {
		case err != nil && !errors.Is(err, strconv.ErrRange):
			return 0, false, errTime
		case n >= fromNanoseconds:
			return r.after(n / 1e9), true, nil
		case n >= fromMicroseconds:
			return r.after(n / 1e6), true, nil
		case n >= fromMilliseconds:
			return r.after(n / 1e3), true, nil
		case n >= fromSeconds:
			return r.after(n), true, nil
		}
		return seconds(n), false, nil
	}
	if at, ok := parseDate(text); ok {
		return r.at(at), true, nil
	}
	d, err := duration(text)
	return d, false, err
}

// longest reads a wait by the given function. Of several that a proxy has joined by commas, the
// longest counts.
func longest(
	text string, read func(string) (time.Duration, bool, error),
) (wait time.Duration, instant bool, err error) {
	wait, instant, err = read(text)
	if err == nil || !strings.Contains(text, ",") {
		return wait, instant, err
	}
	for part := range strings.SplitSeq(text, ",") {
		other, isInstant, err := read(strings.TrimSpace(part))
		if err != nil {
			return 0, false, err
		}
		if other >= wait {
			wait, instant = other, isInstant
		}
	}
	return wait, instant, nil
}

// after returns the wait until an instant in seconds since 1970.
func (r *reader) after(sec float64) time.Duration {
	if sec > 1e11 { // the year 5138
		return Never
	}
	whole := int64(sec)
	return r.at(time.Unix(whole, int64((sec-float64(whole))*1e9)))
}

// at returns the wait until an instant of the server's clock, from 0 to Never. Sub has a lower
// bound, so nothing may be subtracted from its result.
func (r *reader) at(t time.Time) time.Duration {
	return min(max(t.Sub(r.now), 0), Never)
}

// seconds returns n seconds, at most Never. It does not round down.
func seconds(n float64) time.Duration {
	if n >= Never.Seconds() {
		return Never
	}
	return time.Duration(n * float64(time.Second))
}

// isNumber reports whether text is digits with at most one point, such as 12 or 0.5.
func isNumber(text string) bool {
	whole, fraction, point := strings.Cut(text, ".")
	return digits(whole) && (!point || digits(fraction))
}

func digits(text string) bool {
	for i := range len(text) {
		if !isDigit(text[i]) {
			return false
		}
	}
	return text != ""
}

// parseDate reads the three forms of HTTP, RFC 3339, ISO 8601 without a zone, as UTC, and the text
// of a Date in JavaScript.
func parseDate(text string) (time.Time, bool) {
	text, _, _ = strings.Cut(text, " (") // the name of the zone
	if len(text) > 64 {
		return time.Time{}, false
	}
	if at, err := http.ParseTime(text); err == nil {
		return at, true
	}
	for _, layout := range []string{
		time.RFC3339, "2006-01-02 15:04:05Z07:00", "2006-01-02T15:04:05Z0700",
		"2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04:05 MST",
		"2006-01-02T15:04Z07:00", time.RFC1123Z, // Jira sends no seconds
		"Mon Jan 02 2006 15:04:05 GMT-0700",
	} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}

// duration reads a duration such as 6m0s, 12ms or 1d2h. It is never negative.
func duration(text string) (time.Duration, error) {
	if len(text) > 64 || strings.HasPrefix(text, "-") {
		return 0, errTime
	}
	days := time.Duration(0)
	if before, after, found := strings.Cut(text, "d"); found && digits(before) {
		n, err := strconv.ParseFloat(before, 64)
		if err != nil {
			return Never, nil
		}
		days = seconds(n * 24 * 3600)
		if text = after; text == "" {
			return days, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, errTime
	}
	return min(days, Never) + min(d, Never-min(days, Never)), nil
}
