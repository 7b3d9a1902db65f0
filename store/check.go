package store

import (
	"errors"
	"fmt"
)

// ErrInvalidOp is wrapped by the error of [Store.Apply] or [Leaser.Lease] for a batch that no store
// could understand.
var ErrInvalidOp = errors.New("store: invalid op")

// CheckOps returns an error that wraps [ErrInvalidOp] and names the first op that has no limit, no
// key, a negative cost or an unknown kind. Implementers of [Store] call it before they change
// anything.
func CheckOps(ops []Op) error {
	for i := range ops {
		if op := &ops[i]; !op.Valid() {
			return invalidOp(i, op)
		}
	}
	return nil
}

// Valid reports whether [CheckOps] accepts op.
func (op *Op) Valid() bool {
	return op.Limit != nil && op.Cost >= 0 && op.Kind <= TakeUpTo && op.Key.Valid()
}

func invalidOp(i int, op *Op) error {
	if op.Limit == nil {
		return fmt.Errorf("%w: ops[%d] has no Limit", ErrInvalidOp, i)
	}
	what := ""
	switch {
	case op.Key.IsZero():
		what = "the zero Key"
	case op.Cost < 0:
		what = fmt.Sprintf("the negative cost %d", op.Cost)
	case op.Kind > TakeUpTo:
		what = fmt.Sprintf("the unknown kind %d", op.Kind)
	default:
		what = "a Key of no kind"
	}
	return fmt.Errorf("%w: ops[%d] (rule %q) has %s", ErrInvalidOp, i, op.Limit.Rule(), what)
}
