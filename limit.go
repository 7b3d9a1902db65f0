package ratelimit

import "time"

// Limit is one token bucket: it is refilled with Count tokens per Period and
// holds at most Burst of them.
type Limit struct {
	// Count is the number of tokens added per Period.
	Count int64
	// Period is the time in which Count tokens are added.
	Period time.Duration
	// Burst is the number of tokens the bucket holds. Zero means Count.
	Burst int64
}

// Limits are several limits that must all admit.
type Limits []Limit
