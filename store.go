package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A Store keeps buckets and decides on them.
//
// Apply is one atomic step. It evaluates ops in order, each on the buckets as the
// ops before it would leave them, and then either applies all of them or, if any
// [OpTake] is refused, none: a refused batch takes and gives no token anywhere. Each op
// finds its answer in its own Result; Apply overwrites whatever was there.
//
// An error means that the store could not decide: it is never a refusal, no
// Result is meaningful, and nothing may have been charged (after a timeout a
// network store may have charged without being able to say so; that must be its
// only such case). An invalid op is such an error too, see [CheckOps].
//
// A Store must be safe for use by several goroutines. It must not keep ops, nor
// any part of them but values copied out of it, after Apply returns. It must give
// up when ctx is done, must not retry a take whose outcome is unknown, and must
// not hold a lock while it waits for another machine.
//
// A bucket is known by the rule and index of its limit and by its key. One that
// was never seen is full. A bucket may be forgotten only when it is full again.
// If the numbers of a limit change, what its keys have already spent stays spent
// (in tokens, at most the new burst).
//
// The package storetest holds the tests every Store must pass.
type Store interface {
	Apply(ctx context.Context, ops []Op) error
}

// An Op is one operation on one bucket. Fields added in the future will mean by
// their zero value what is done today, and a Store must ignore what it does not
// know; so write Op literals with field names.
type Op struct {
	// Kind says what to do. The zero Kind is OpTake.
	Kind OpKind
	// Limit names the bucket's limit and gives its numbers. It must not be nil.
	Limit *NamedLimit
	// Key says whose bucket it is. It must not be the zero Key.
	Key Key
	// Cost is the number of tokens to take, to ask for, or to give back. It must
	// not be negative. OpReset ignores it.
	Cost int64
	// Result is the answer.
	Result Result
}

// OpKind is what an [Op] does.
type OpKind uint8

const (
	// OpTake takes Cost tokens if they are there, and refuses the whole batch
	// if they are not. Taking nothing is always allowed and leaves no trace.
	OpTake OpKind = iota
	// OpPeek answers as OpTake would, and takes and refuses nothing. (Where the numbers of the
	// limit have changed, the answer may fix the rate at which old debts are paid, so that its
	// RetryAfter comes true.)
	OpPeek
	// OpCredit gives Cost tokens back. A bucket never holds more than its burst.
	OpCredit
	// OpReset makes the bucket full.
	OpReset
	// OpDrain takes Cost tokens or, if there are fewer, all that there are. It is for work that
	// has been done already, so it is never refused. A bucket that is empty owes nothing more.
	OpDrain
)

// Result is the answer to one [Op].
type Result struct {
	// Allowed reports whether the bucket had the tokens. It says nothing of the
	// other ops: a take was charged only if every take of its batch was allowed.
	// It is always true for OpCredit, OpReset and OpDrain.
	Allowed bool
	// Never reports that the op was refused because Cost is more than the bucket
	// can hold, so that no wait can help.
	Never bool
	// Overflow reports that the store had no room for the key, and decided on a
	// bucket that all such keys of this limit share.
	Overflow bool
	// Remaining is the number of whole tokens in the bucket once the batch was
	// applied, or refused. Fractions are cut off.
	Remaining int64
	// RetryAfter is, for a refused op, the shortest time after which the same op
	// would be allowed if nobody else took any token, rounded up. It is zero if
	// the op was allowed or Never is set.
	RetryAfter time.Duration
	// ResetAfter is the time until the bucket is full, rounded up.
	ResetAfter time.Duration
}

// ErrInvalidOp is wrapped by the error that [Store.Apply] returns for a batch it
// could not have understood.
var ErrInvalidOp = errors.New("ratelimit: invalid op")

// CheckOps returns an error wrapping [ErrInvalidOp] that names the first op which
// has no limit, no key, a negative cost or an unknown kind. It is for
// implementers of [Store], to be called before anything is changed.
func CheckOps(ops []Op) error {
	for i := range ops {
		if op := &ops[i]; !op.valid() {
			return invalidOp(i, op)
		}
	}
	return nil
}

func (op *Op) valid() bool {
	return op.Limit != nil && op.Cost >= 0 && op.Kind <= OpDrain && op.Key.kind() != kindNone
}

func invalidOp(i int, op *Op) error {
	switch {
	case op.Limit == nil:
		return fmt.Errorf("%w: ops[%d] has no Limit", ErrInvalidOp, i)
	case op.Key.IsZero():
		return fmt.Errorf("%w: ops[%d] (rule %q) has the zero Key", ErrInvalidOp, i, op.Limit.Rule())
	case op.Cost < 0:
		return fmt.Errorf("%w: ops[%d] (rule %q) has the negative cost %d", ErrInvalidOp, i, op.Limit.Rule(), op.Cost)
	default:
		return fmt.Errorf("%w: ops[%d] (rule %q) has the unknown kind %d", ErrInvalidOp, i, op.Limit.Rule(), op.Kind)
	}
}
