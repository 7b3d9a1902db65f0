package main

import (
	"cmp"
	"slices"
	"time"
)

// summary is what honest clients felt.
type summary struct {
	p50, p99 time.Duration
	sent     int
	errors   int
}

// summarize treats a failed request as if it had taken patience, or longer if it has.
func summarize(samples []sample, patience time.Duration) summary {
	sum := summary{sent: len(samples)}
	if sum.sent == 0 {
		return sum
	}
	times := make([]time.Duration, len(samples))
	for i, s := range samples {
		times[i] = s.took
		if s.failed {
			sum.errors++
			times[i] = max(s.took, patience)
		}
	}
	slices.Sort(times)
	sum.p50, sum.p99 = percentile(times, 50), percentile(times, 99)
	return sum
}

// percentile returns the p-th percentile of sorted times, by the method of the nearest rank.
func percentile(sorted []time.Duration, p int) time.Duration {
	return sorted[(len(sorted)*p+99)/100-1]
}

// short rounds d to the digits that are worth reading.
func short(d time.Duration) time.Duration {
	if d > time.Second {
		return d.Round(10 * time.Millisecond)
	}
	return d.Round(100 * time.Microsecond)
}

// median returns the median of what the function of returns for each round.
func median[T cmp.Ordered](c *comparison, of func(round) T) T {
	values := make([]T, len(c.rounds))
	for i, r := range c.rounds {
		values[i] = of(r)
	}
	slices.Sort(values)
	return values[len(values)/2]
}
