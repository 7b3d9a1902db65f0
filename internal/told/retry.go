package told

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

var errRetryAfter = errors.New("want seconds or a date (RFC 9110, section 10.2.3)")

// retryMillis are the fields that tell a wait in milliseconds. The second one is of Azure.
var retryMillis = []string{"Retry-After-Ms", "X-Ms-Retry-After-Ms"}

// retryAfter reads Retry-After and Retry-After-Ms. Of several values, the longest wait counts. A
// Retry-After-Ms that Retry-After rounds to seconds counts instead of it.
func (r *reader) retryAfter() {
	lines := r.header["Retry-After"]
	for i, line := range lines {
		if i == MaxQuotas {
			r.mistake("Retry-After", fmt.Errorf("more than %d lines", MaxQuotas))
			break
		}
		wait, _, err := longest(strings.TrimSpace(line), r.retryLine)
		if err != nil || len(line) > maxField {
			r.mistake("Retry-After", errRetryAfter)
			continue
		}
		if wait >= r.RetryAfter {
			r.RetryAfter, r.Whole = wait, true
		}
		r.HasRetryAfter = true
	}
	for _, name := range retryMillis {
		r.retryAfterMillis(name)
	}
}

func (r *reader) retryAfterMillis(name string) {
	text := r.field(name)
	if text == "" {
		return
	}
	n, err := strconv.ParseFloat(text, 64)
	if !isNumber(text) || err != nil && !errors.Is(err, strconv.ErrRange) {
		r.mistake(name, errors.New("want milliseconds"))
		return
	}
	wait := seconds(n / 1e3)
	if !r.HasRetryAfter || wait >= r.RetryAfter || r.Whole && r.RetryAfter-wait < time.Second {
		r.RetryAfter, r.Whole, r.HasRetryAfter = wait, false, true
	}
}

// retryLine reads seconds, which some servers send with a fraction, or what else until reads.
func (r *reader) retryLine(text string) (wait time.Duration, instant bool, err error) {
	if isNumber(text) {
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return Never, false, nil
		}
		return seconds(n), false, nil
	}
	return r.until(text)
}
