package pace

import "time"

// Strict returns a bucket that allows at most n tokens in any window. In a window a bucket allows
// its burst and what flows in, so the sum of both is n. Zero burst means half of n, rounded up. It
// returns false if burst leaves nothing that flows in.
//
// A window does not include its end. So n = 1 is one token per window: two requests are never
// closer than a window.
func Strict(n int64, window time.Duration, burst int64) (l Limit, ok bool) {
	switch {
	case burst == 0 && n > 1:
		burst = n - n/2
	case n == 1 && burst <= 1:
		return Limit{Count: 1, Period: window}, true
	}
	return Limit{Count: n - burst, Period: window, Burst: burst}, burst < n
}
