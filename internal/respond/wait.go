package respond

import (
	"errors"
	"net/http"
	"strconv"
	"time"
)

// RetryAfter returns wait in whole seconds for Retry-After (RFC 9110, section 10.2.3), at least 1.
// It returns 0, which means to write no field, in two cases: wait is not positive, so waiting does
// not help, or h already has a Retry-After that is at least as long, in seconds or as a date. If h
// has several, the longest of them and of wait replaces them all.
func RetryAfter(h http.Header, wait time.Duration, now func() time.Time) int64 {
	if wait <= 0 {
		return 0
	}
	secs, lines := Seconds(wait), h["Retry-After"]
	if len(lines) == 0 {
		return secs
	}
	there := Longest(h, now)
	if len(lines) == 1 && there >= secs {
		return 0
	}
	return max(secs, there)
}

// maxWait is more seconds than any client waits, and fits into a [time.Duration].
const maxWait = 1 << 32

// Longest returns the longest wait that Retry-After has in h, in seconds, or 0. It is at most
// maxWait.
func Longest(h http.Header, now func() time.Time) (secs int64) {
	for _, line := range h["Retry-After"] {
		secs = max(secs, waitOf(line, now))
	}
	return secs
}

// waitOf returns the seconds of a Retry-After: a number, or the time until a date. It returns -1 if
// text is neither.
func waitOf(text string, now func() time.Time) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err == nil || errors.Is(err, strconv.ErrRange) { // then n is as near as can be
		return min(n, maxWait)
	}
	if date, err := http.ParseTime(text); err == nil {
		return Seconds(date.Sub(now()))
	}
	return -1
}

// Seconds returns d in seconds, rounded up. A negative d is rounded toward zero.
func Seconds(d time.Duration) int64 {
	secs := int64(d / time.Second)
	if d%time.Second > 0 {
		secs++
	}
	return secs
}
