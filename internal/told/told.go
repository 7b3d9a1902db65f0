// Package told reads what the header fields of a response tell a client about rate limits.
package told

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

const (
	// maxField bounds the bytes of one field. A longer field is ignored.
	maxField = 4096
	// MaxQuotas bounds the quotas of one response. Further quotas are ignored.
	MaxQuotas = 16
	// maxName bounds the bytes of the name of a quota.
	maxName = 128
	// Never is the longest wait. Longer waits are cut to it.
	Never = 100 * 365 * 24 * time.Hour
)

// Answer is what one response tells. The zero Answer tells nothing.
type Answer struct {
	// RetryAfter is how long to wait before the next request. It counts only if HasRetryAfter.
	RetryAfter    time.Duration
	HasRetryAfter bool
	// Whole reports that RetryAfter was rounded to whole seconds.
	Whole bool
	// ShouldRetry and ShouldNotRetry are the two values of X-Should-Retry, or Stripe-Should-Retry.
	ShouldRetry, ShouldNotRetry bool
	// Quotas are the quotas that the fields name, at most MaxQuotas.
	Quotas []Quota
	// Mistakes are the fields that were ignored because they are malformed or too long.
	Mistakes []error
}

// Quota is what is left of one quota.
type Quota struct {
	// ID distinguishes the quotas of a server. It has at most a few hundred bytes.
	ID string
	// Requests reports that the quota counts requests, and not tokens or bytes.
	Requests bool
	// Limit is the size of the quota. It is -1 if the fields do not tell.
	Limit int64
	// Window is the time in which the quota may be used once. Zero means that the fields do not
	// tell.
	Window time.Duration
	// Left is how much is left.
	Left int64
	// Reset is the time until more is left, counted from the response. It is -1 if the fields do
	// not tell.
	Reset time.Duration
	// Instant reports that the server told an instant of the clock instead of a time.
	Instant bool
	// Refills reports that the server is known to have the whole quota again after Reset.
	Refills bool
}

// Read returns what h tells. It is the header of a response that was received at now. The request
// was sent at most a few seconds before.
func Read(h http.Header, now time.Time) Answer {
	r := reader{header: h, now: serverTime(h, now)}
	r.retryAfter()
	for _, name := range []string{"X-Should-Retry", "Stripe-Should-Retry"} {
		text := h.Get(name)
		r.ShouldRetry = r.ShouldRetry || strings.EqualFold(text, "true")
		r.ShouldNotRetry = r.ShouldNotRetry || strings.EqualFold(text, "false")
	}
	if age := h.Get("Age"); age != "" && age != "0" {
		return r.Answer // a cache sent it: the quotas belong to another moment, or another client
	}
	r.items()
	r.dictionary()
	for _, d := range dialects {
		r.single(d)
	}
	r.shopify()
	return r.Answer
}

// A reader builds an Answer.
type reader struct {
	Answer

	header http.Header
	now    time.Time // by the clock of the server
	known  []item    // see policies
	read   bool      // known is
}

// field returns all lines of a field as one, or "" if the field is missing or too long. The name
// has the letter case of [http.CanonicalHeaderKey].
func (r *reader) field(name string) string {
	lines := r.header[name]
	total := 0
	for _, line := range lines {
		total += len(line) + 2
	}
	if total > maxField+2 {
		r.mistake(name, fmt.Errorf("%d bytes: want at most %d", total-2, maxField))
		return ""
	}
	return strings.TrimSpace(strings.Join(lines, ", "))
}

func (r *reader) mistake(field string, err error) {
	r.Mistakes = append(r.Mistakes, fmt.Errorf("field %s: %w", field, err))
}

// add adds a quota. If a gateway and its backend name the same one, the stricter one counts.
func (r *reader) add(q Quota) {
	q.Left = max(q.Left, 0)
	if q.Limit >= 0 && q.Left > q.Limit {
		q.Left = q.Limit // contradictory: the stricter value counts
	}
	for i := range r.Quotas {
		if other := &r.Quotas[i]; other.ID == q.ID {
			if q.Left < other.Left || q.Left == other.Left && q.Reset > other.Reset {
				*other = q
			}
			return
		}
	}
	if len(r.Quotas) >= MaxQuotas {
		r.mistake("of quota", fmt.Errorf("more than %d quotas", MaxQuotas))
		return
	}
	r.Quotas = append(r.Quotas, q)
}

var errRange = errors.New("a number that is negative or too large")

// serverTime returns now by the clock of the server, which the Date field tells. It is now by the
// local clock if the clocks may be equal: the Date is cut to seconds, and some time has passed.
func serverTime(h http.Header, now time.Time) time.Time {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return now
	}
	ahead := date.Sub(now)
	if ahead > -3*time.Second && ahead <= 50*time.Millisecond {
		return now
	}
	return date
}
