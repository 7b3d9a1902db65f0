package suggest

import (
	"math"
	"math/bits"
	"time"
)

// periods are the periods of the limits.
var periods = [...]time.Duration{time.Second, time.Minute, time.Hour}

// A need finds, for the requests of one client, how many it sent in its busiest period, and the
// smallest N for which the limit of N per period would have denied none of them.
//
// A bucket of N tokens that is refilled with N tokens per period P denies a request if, since some
// earlier request, c requests came in the time t with c > N (1 + t/P). So N is the maximum of
// c P / (P + t). That is the steepest line from an earlier request to a later one, with time
// counted from P earlier, and only the lower convex hull of the earlier requests can begin it.
type need struct {
	slot         int64 // the calendar period of the last request
	inSlot, most int32 // requests in slot, and in the busiest
	smallest     int32 // N so far
	count        int32
	hull         []point
}

// point is a request: its time, and how many came before it.
type point struct {
	at     int64 // in nanoseconds since 1970
	before int32
}

// maxHull bounds the memory of a need. Beyond it N may come out greater than necessary.
const maxHull = 32

// maxCount bounds the requests of a client that count, so that no sum overflows.
const maxCount = 1 << 30

// add counts a request at the given time. Times do not decrease.
func (n *need) add(at int64, period time.Duration) {
	if n.count >= maxCount {
		return
	}
	if slot := at / int64(period); slot != n.slot || n.count == 0 {
		n.slot, n.inSlot = slot, 0
	}
	n.inSlot++
	n.most = max(n.most, n.inSlot)
	n.push(point{at, n.count})
	n.count++
	for _, p := range n.hull {
		n.smallest = max(n.smallest, least(int64(n.count-p.before), at-p.at, period))
	}
	n.prune(period)
}

// least returns the smallest N that allows c requests within t: c P / (P + t), rounded up.
func least(c, t int64, period time.Duration) int32 {
	hi, lo := bits.Mul64(uint64(c), uint64(period))
	q, rest := bits.Div64(hi, lo, uint64(int64(period)+t))
	if rest > 0 {
		q++
	}
	return int32(q)
}

// push adds p to the hull.
func (n *need) push(p point) {
	if last := len(n.hull) - 1; last >= 0 && n.hull[last].at == p.at {
		return // the request before it begins a steeper line
	}
	for len(n.hull) >= 2 && !steeper(n.hull[len(n.hull)-2], n.hull[len(n.hull)-1], p) {
		n.hull = n.hull[:len(n.hull)-1]
	}
	if len(n.hull) == maxHull {
		n.merge()
	}
	n.hull = append(n.hull, p)
}

// merge makes one point of the two that are nearest to each other. It begins steeper lines than
// both, so N never comes out too small.
func (n *need) merge() {
	nearest, smallest := 1, math.Inf(1)
	for i := 1; i < len(n.hull); i++ {
		a, b := n.hull[i-1], n.hull[i]
		if area := float64(b.at-a.at) * float64(b.before-a.before); area < smallest {
			nearest, smallest = i, area
		}
	}
	n.hull[nearest].before = n.hull[nearest-1].before
	n.hull = append(n.hull[:nearest-1], n.hull[nearest:]...)
}

// steeper reports whether the line from b to c is steeper than the line from a to b.
func steeper(a, b, c point) bool {
	return lessFraction(int64(b.before-a.before), b.at-a.at, int64(c.before-b.before), c.at-b.at)
}

// prune drops points from which no later line can be steeper than N per period.
func (n *need) prune(period time.Duration) {
	drop := 0
	for drop+1 < len(n.hull) {
		a, b := n.hull[drop], n.hull[drop+1]
		if lessFraction(int64(n.smallest), int64(period), int64(b.before-a.before), b.at-a.at) {
			break
		}
		drop++
	}
	if drop > 0 {
		n.hull = append(n.hull[:0], n.hull[drop:]...)
	}
}

// lessFraction reports whether a/b < c/d, for numbers that are not negative.
func lessFraction(a, b, c, d int64) bool {
	h1, l1 := bits.Mul64(uint64(a), uint64(d))
	h2, l2 := bits.Mul64(uint64(c), uint64(b))
	return h1 < h2 || h1 == h2 && l1 < l2
}
