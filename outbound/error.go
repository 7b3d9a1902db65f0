package outbound

import (
	"fmt"
	"time"
)

// WaitError is the error of RoundTrip for a request that was not sent, because it would have to
// wait too long. A [net/http.Client] wraps it: use [errors.As].
type WaitError struct {
	// Until is when the request could go on at the earliest, as far as is known. It is zero if
	// waiting does not help.
	Until time.Time
	// Key is the key by which requests share what the server says: the scheme and host by default.
	Key string
	// Budget is the name of the budget if a rule of your own denied the request. Otherwise it is
	// empty.
	Budget string
	// Err is the error behind it, or nil. It wraps [context.DeadlineExceeded] if the deadline of
	// the request comes too early, and a *[github.com/ratelimit-go/ratelimit.DeniedError] if a
	// budget denied the request.
	Err error
}

// Error returns the key and the time until which the request would have to wait.
func (e *WaitError) Error() string {
	text := fmt.Sprintf("outbound: request to %.100q not sent: ", e.Key)
	if e.Budget != "" {
		text += fmt.Sprintf("budget %q: ", e.Budget)
	}
	if e.Until.IsZero() {
		return text + "waiting does not help"
	}
	return text + "would wait until " + e.Until.Format(time.RFC3339Nano)
}

// Unwrap returns e.Err.
func (e *WaitError) Unwrap() error { return e.Err }
