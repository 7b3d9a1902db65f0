package told

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

var errRetryAfter = errors.New("want seconds or a date (RFC 9110, section 10.2.3)")

// retryAfter reads Retry-After and Retry-After-Ms. Of several values, the longest wait counts. A
// Retry-After-Ms that Retry-After rounds to seconds counts instead of it.
func (r *reader) retryAfter() {
	lines := r.header["Retry-After"]
	for i, line := range lines {
		if i == MaxQuotas {
			r.mistake("Retry-After", fmt.Errorf("more than %d lines", MaxQuotas))
			break
		}
		wait, err := r.retryLine(strings.TrimSpace(line))
		if err != nil {
			r.mistake("Retry-After", err)
			continue
		}
		if wait >= r.RetryAfter {
			r.RetryAfter, r.Whole = wait, true
		}
		r.HasRetryAfter = true
	}
	text := r.field("Retry-After-Ms")
	if text == "" {
		return
	}
	n, err := strconv.ParseFloat(text, 64)
	if !isNumber(text) || err != nil && !errors.Is(err, strconv.ErrRange) {
		r.mistake("Retry-After-Ms", errors.New("want milliseconds"))
		return
	}
	wait := seconds(n / 1e3)
	if !r.HasRetryAfter || wait >= r.RetryAfter || r.RetryAfter-wait < time.Second {
		r.RetryAfter, r.Whole, r.HasRetryAfter = wait, false, true
	}
}

func (r *reader) retryLine(text string) (time.Duration, error) {
	if len(text) <= maxField && isNumber(text) { // some servers send fractions
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return Never, nil
		}
		return seconds(n), nil
	}
	at, err := http.ParseTime(text)
	if err != nil || len(text) > 64 {
		return 0, errRetryAfter
	}
	return r.at(at), nil
}
