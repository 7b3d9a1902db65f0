package inflight

import (
	"fmt"
	"time"
)

// DefaultWaiting is how many requests of a key wait at the same time, if a rule does not say it.
const DefaultWaiting = 1000

const (
	most     = 1_000_000
	longest  = time.Hour        // a client, or a proxy, gives up long before
	shortest = time.Millisecond // a number without a unit is less
)

// CheckMost reports that no n requests can be in flight, if that is so. Zero means any number.
func CheckMost(n int) error {
	if n >= 0 && n <= most {
		return nil
	}
	return fmt.Errorf("%d: want 1 to %d, or 0 for any number", n, most)
}

// CheckWait reports that no request can wait so long, if that is so. Zero means that none waits.
func CheckWait(wait time.Duration) error {
	if wait == 0 || wait >= shortest && wait <= longest {
		return nil
	}
	return fmt.Errorf("%v: want %v to %v, or 0 to deny at once", wait, shortest, longest)
}

// CheckWaiting reports that no n requests can wait so long at the same time, if that is so. Zero
// means [DefaultWaiting].
func CheckWaiting(n int, wait time.Duration) error {
	switch {
	case n < 0:
		return fmt.Errorf("%d: want a positive number, or 0 for %d", n, DefaultWaiting)
	case n > 0 && wait == 0:
		return fmt.Errorf("%d without MaxWait, so that no request is held: want MaxWait too", n)
	}
	return nil
}
