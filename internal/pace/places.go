package pace

import (
	"cmp"
	"slices"
	"time"
)

// Places returns a number from 0 to 15 for each of at most 16 different limits, by which stores
// name its bucket. Their order does not matter. So versions of a policy that share a limit nearly
// always share its bucket, even if one of them has other limits too.
//
// The slowest limit has 0. Of several limits of that rate it is the limit with the smallest bucket.
// All versions charge it, so they can never allow more together than the slowest limits of them
// allow. Other limits go by their periods.
func Places(limits []Limit) []int {
	order := make([]int, len(limits))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return compare(limits[i], limits[j]) })
	places, taken := make([]int, len(limits)), [16]bool{}
	for n, i := range order {
		place := 0
		if n > 0 {
			place = periodPlace(limits[i].Period)
		}
		for taken[place] {
			place = max((place+1)%len(taken), 1)
		}
		places[i], taken[place] = place, true
	}
	return places
}

// compare compares two limits by rate, then by what their buckets hold.
func compare(a, b Limit) int {
	p, q := Of(a.Count, a.Period), Of(b.Count, b.Period)
	switch {
	case p.Faster(q):
		return 1
	case q.Faster(p):
		return -1
	}
	return cmp.Or(cmp.Compare(a.Full(), b.Full()), cmp.Compare(b.Period, a.Period))
}

// periodPlace returns the place of periods that are as long as one of the usual units.
func periodPlace(period time.Duration) int {
	const day = 24 * time.Hour
	for i, unit := range []time.Duration{
		time.Second, time.Minute - 1, time.Minute, time.Hour - 1, time.Hour, day - 1, day, 7 * day, 31 * day,
	} {
		if period <= unit {
			return i + 1
		}
	}
	return 10
}
