// Package rank tells which of several answers of a store matters most to a client.
package rank

import (
	"math"
	"math/bits"
	"time"

	"github.com/ratelimit-go/ratelimit/store"
)

// Strictest returns the index of the op whose answer matters most, the first of several alike: the
// denial with the longest wait, or else the op with the smallest share of its burst left.
func Strictest(ops []store.Op) int {
	worst := 0
	for i := 1; i < len(ops); i++ { // Stricter, without a call
		a, b := &ops[i], &ops[worst]
		if !a.Result.Allowed || !b.Result.Allowed {
			if severity(a) > severity(b) {
				worst = i
			}
		} else if scarcer(a, b) {
			worst = i
		}
	}
	return worst
}

// Stricter reports whether the answer to a matters more than the answer to b.
func Stricter(a, b *store.Op) bool {
	if a.Result.Allowed && b.Result.Allowed {
		return scarcer(a, b)
	}
	return severity(a) > severity(b)
}

// scarcer reports whether a has a smaller share of its burst left than b. A store may wrongly
// return a negative Remaining.
func scarcer(a, b *store.Op) bool {
	xhi, xlo := bits.Mul64(uint64(max(a.Result.Remaining, 0)), uint64(b.Limit.Burst()))
	yhi, ylo := bits.Mul64(uint64(max(b.Result.Remaining, 0)), uint64(a.Limit.Burst()))
	return xhi < yhi || xhi == yhi && xlo < ylo
}

// severity ranks a denial. A store may wrongly return a negative RetryAfter.
func severity(op *store.Op) time.Duration {
	switch res := &op.Result; {
	case res.Allowed:
		return -1
	case res.ExceedsBurst:
		return math.MaxInt64
	default:
		return max(res.RetryAfter, 0)
	}
}
