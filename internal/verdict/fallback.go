package verdict

import (
	"math"

	"github.com/ratelimit-go/ratelimit/store"
)

// manyOps is how many ops the stores of this repository decide at once. No route of a valid
// configuration has more.
const manyOps = 512

// Choice returns what decides v while the store fails. If any rule is Closed, that is Closed, and
// else Memory if any rule is Memory. No rule is Open if there are many ops: a client can make a
// request that meets the rules of all routes, and a store that rejects so many has not failed.
func (v *Verdict) Choice() Fallback {
	chosen := Open
	for _, p := range v.From {
		switch p.Rule.OnFail {
		case Closed:
			return Closed
		case Memory:
			chosen = Memory
		default:
			if len(v.Ops) > manyOps {
				return Closed
			}
		}
	}
	return chosen
}

// DecideHere makes apply, which decides in the memory of the process, decide the ops of rules that
// use it. The other ops are allowed and cost nothing. They have more left than any bucket holds, so
// they are never the strictest.
func (v *Verdict) DecideHere(apply func(ops []store.Op)) {
	var ops []store.Op
	for i := range v.Ops {
		op := &v.Ops[i]
		switch p := v.From[i]; {
		case p.Rule.OnFail != Memory:
			open := *p
			open.Quiet = true
			v.From[i] = &open
			op.Cost, op.Result = 0, store.Result{Allowed: true, Remaining: math.MaxInt64}
			continue
		case p.Local != nil:
			v.From[i] = p.Local
			op.Limit = p.Local.Limit
		}
		ops = append(ops, *op)
	}
	apply(ops)
	for i := range v.Ops {
		if v.From[i].Rule.OnFail == Memory {
			v.Ops[i].Result, ops = ops[0].Result, ops[1:]
		}
	}
}

// Taken returns the ops by which v has taken tokens, in the store or in local memory.
func (v *Verdict) Taken() Charged {
	if v.Failed == "" {
		return Charged{v.Ops, v.From}
	}
	var taken Charged
	for i, p := range v.From {
		if v.Failed == Memory && p.Here {
			taken.Ops, taken.From = append(taken.Ops, v.Ops[i]), append(taken.From, p)
		}
	}
	return taken
}
