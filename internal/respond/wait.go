package respond

import (
	"net/http"
	"strconv"
	"time"
)

// RetryAfter returns wait in whole seconds for Retry-After (RFC 9110, section 10.2.3), at least 1.
// It returns 0, which means to write no field, in two cases: wait is not positive, so waiting does
// not help, or h already has a Retry-After that is at least as long.
func RetryAfter(h http.Header, wait time.Duration) int64 {
	if wait <= 0 {
		return 0
	}
	secs := Seconds(wait)
	if there := h["Retry-After"]; len(there) > 0 {
		if outer, err := strconv.ParseInt(there[0], 10, 64); err == nil && outer >= secs {
			return 0
		}
	}
	return secs
}

// Seconds returns d in seconds, rounded up. A negative d is rounded toward zero.
func Seconds(d time.Duration) int64 {
	secs := int64(d / time.Second)
	if d%time.Second > 0 {
		secs++
	}
	return secs
}
