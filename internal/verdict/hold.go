package verdict

import (
	"time"

	"github.com/ratelimit-go/ratelimit/store"
)

// A Hold is a limit whose tokens are not there yet.
type Hold struct {
	Op   int
	Wait time.Duration
	Left int64 // without the extra room, and so usually negative
}

// ShowWaits makes the Results of v the answers of buckets without extra room. It appends to holds,
// and returns how long the request is to be held.
func (v *Verdict) ShowWaits(holds []Hold) (all []Hold, longest time.Duration) {
	if !v.Decided() {
		return holds, 0
	}
	for i := range v.Ops {
		op, p := &v.Ops[i], v.From[i]
		if p.Queue.Extra == 0 {
			continue
		}
		wait := p.hold(op)
		left := op.Result.Remaining - p.Queue.Extra
		op.Result.Remaining = max(left, 0)
		if wait > 0 {
			holds = append(holds, Hold{i, wait, left})
			longest = max(longest, wait)
		}
	}
	return holds, longest
}

// hold returns how long a request that op allowed, or would allow, is to be held.
func (p *Policy) hold(op *store.Op) time.Duration {
	left, debt := op.Result.Remaining, op.Result.ResetAfter
	if op.Kind == store.Peek {
		left, debt = left-op.Cost, debt+p.Queue.TimeOf(op.Cost).Ceil()
	}
	if !op.Result.Allowed || op.Cost == 0 || op.Kind > store.Peek {
		return 0
	}
	return p.Queue.Hold(left, debt)
}

// DenyHeld makes the answers of v, whose tokens were refunded, a denial by the limits that would
// have held it.
func (v *Verdict) DenyHeld(holds []Hold) {
	for _, h := range holds {
		res := &v.Ops[h.Op].Result
		res.Allowed, res.RetryAfter, res.Remaining = false, h.Wait, h.Left
	}
	for i := range v.Ops {
		op := &v.Ops[i]
		if op.Kind != store.Peek { // a Peek has taken nothing
			op.Result.Remaining += op.Cost
			back := time.Duration(v.From[i].Queue.TimeOf(op.Cost).NS)
			op.Result.ResetAfter = max(op.Result.ResetAfter-back, 0)
		}
		op.Result.Remaining = max(op.Result.Remaining, 0)
	}
}
