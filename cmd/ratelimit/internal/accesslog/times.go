package accesslog

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// maxDuration bounds how long a request may have taken. A longer time is no duration.
const maxDuration = 24 * time.Hour

var errTime = errors.New("no time")

var months = map[string]time.Month{
	"Jan": 1, "Feb": 2, "Mar": 3, "Apr": 4, "May": 5, "Jun": 6,
	"Jul": 7, "Aug": 8, "Sep": 9, "Oct": 10, "Nov": 11, "Dec": 12,
}

// parseCLF reads the time of the common log format, such as "10/Oct/2000:13:55:36 -0700". A
// fraction of a second may follow the seconds, and the zone may be missing, as HAProxy writes it.
func parseCLF(s string, loc *time.Location) (t time.Time, whole bool, err error) {
	month, ok := time.Month(0), len(s) >= 20 && s[2] == '/' && s[6] == '/' && s[11] == ':'
	if ok {
		month, ok = months[s[3:6]]
	}
	if !ok {
		return t, false, fmt.Errorf("%w of the form 10/Oct/2000:13:55:36 -0700: %s", errTime, quote(s))
	}
	var n [5]int
	for i, text := range [...]string{s[0:2], s[7:11], s[12:14], s[15:17], s[18:20]} {
		if n[i], err = strconv.Atoi(text); err != nil || n[i] < 0 {
			return t, false, fmt.Errorf("%w: %s", errTime, quote(s))
		}
	}
	nanos, rest, whole := 0, s[20:], true
	if strings.HasPrefix(rest, ".") {
		digits := len(rest) - len(strings.TrimLeft(rest[1:], "0123456789"))
		nanos, rest, whole = fraction(rest[1:digits]), rest[digits:], false
	}
	if loc, err = zone(strings.TrimPrefix(rest, " "), loc); err != nil {
		return t, false, err
	}
	second := min(n[4], 59)
	t = time.Date(n[1], month, n[0], n[2], n[3], second, nanos, loc)
	if t.Day() != n[0] || t.Hour() != n[2] || n[3] > 59 || n[4] > 60 {
		return t, false, fmt.Errorf("%w: %s", errTime, quote(s))
	}
	return t.Add(time.Duration(n[4]-second) * time.Second), whole, nil
}

// parseISO is time.ParseInLocation for a layout with the seconds after 16 bytes. It knows a leap
// second: 23:59:60 is the second after 23:59:59.
func parseISO(layout, s string, loc *time.Location) (time.Time, error) {
	leap := time.Duration(0)
	if len(s) >= 19 && s[16:19] == ":60" {
		s, leap = s[:17]+"59"+s[19:], time.Second
	}
	if strings.Contains(layout, "07") {
		loc = time.UTC // the time has a zone: finish must not take it for a time in loc
	}
	t, err := time.ParseInLocation(layout, s, loc)
	return t.Add(leap), err
}

// zone reads a zone such as "+0200". Without one it returns loc.
func zone(s string, loc *time.Location) (*time.Location, error) {
	switch {
	case s == "":
		return loc, nil
	case s == "+0000" || s == "-0000":
		return time.UTC, nil
	case len(s) != 5 || s[0] != '+' && s[0] != '-':
		return nil, fmt.Errorf("%w: zone %s", errTime, quote(s))
	}
	n, err := strconv.ParseUint(s[1:], 10, 16)
	if err != nil || n%100 > 59 || n > 1500 {
		return nil, fmt.Errorf("%w: zone %s", errTime, quote(s))
	}
	seconds := int(n/100)*3600 + int(n%100)*60
	if s[0] == '-' {
		seconds = -seconds
	}
	return time.FixedZone("", seconds), nil
}

// fraction returns the nanoseconds of the digits after a decimal point.
func fraction(digits string) int {
	n := 0
	for i := range 9 {
		n *= 10
		if i < len(digits) && digits[i] >= '0' && digits[i] <= '9' {
			n += int(digits[i] - '0')
		}
	}
	return n
}

// parseTime reads a time in any of the forms that logs in JSON have: ISO 8601, the form of the
// common log format, or a number since 1970 in seconds, milli-, micro- or nanoseconds.
func parseTime(s string, loc *time.Location) (t time.Time, whole bool, err error) {
	if t, whole, ok := parseUnix(s); ok {
		return t, whole, nil
	}
	if len(s) > 3 && s[2] == '/' {
		return parseCLF(s, loc)
	}
	for _, layout := range [...]string{
		time.RFC3339Nano, "2006-01-02T15:04:05.999999999-0700", "2006-01-02T15:04:05",
		"2006-01-02 15:04:05Z07:00",
		"2006-01-02 15:04:05", "2006/01/02 15:04:05",
	} {
		if t, err = parseISO(layout, s, loc); err == nil {
			return t, !strings.ContainsAny(s, ".,"), nil
		}
	}
	return t, false, fmt.Errorf("%w: %s", errTime, quote(s))
}

// parseUnix reads a number since 1970. Its size tells the unit: until the year 5138 seconds have
// at most 11 digits, and since March 1973 milliseconds have at least 12.
func parseUnix(s string) (t time.Time, whole, ok bool) {
	if strings.Trim(s, "0123456789.eE+-") != "" {
		return t, false, false // the usual case, without the errors of the numbers
	}
	number, digits, point := strings.Cut(s, ".")
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || point && strings.Trim(digits, "0123456789") != "" {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || !(f >= 0 && f < 1e11) {
			return t, false, false
		}
		sec, frac := math.Modf(f)
		return time.Unix(int64(sec), int64(frac*1e9)).UTC(), false, true
	}
	switch {
	case n < 1e11:
		return time.Unix(n, int64(fraction(digits))).UTC(), !point, true
	case n < 1e14:
		return time.UnixMilli(n).UTC(), false, true
	case n < 1e17:
		return time.UnixMicro(n).UTC(), false, true
	}
	return time.Unix(0, n).UTC(), false, true
}

// parseDuration reads a number of units, or a duration such as "12.5ms". It returns false for
// anything else, negative and more than maxDuration included.
func parseDuration(s string, unit time.Duration) (time.Duration, bool) {
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		if !(f >= 0 && f <= float64(maxDuration)/float64(unit)) {
			return 0, false
		}
		return time.Duration(math.Round(f * float64(unit))), true
	}
	d, err := time.ParseDuration(s)
	return d, err == nil && d >= 0 && d <= maxDuration
}
