package guard

import (
	"errors"

	"github.com/ratelimit-go/ratelimit/store"
)

// newError returns the Error for what a store returned. It calls methods of err, which may panic.
func newError(err error) *store.Error {
	reason := store.ReasonOf(err)
	if errors.Is(err, store.ErrInvalidOp) {
		// The caller has checked its ops. If it found ErrInvalidOp here, it would take the fault of
		// the store for a mistake of its own.
		err = errors.New(err.Error())
	}
	return &store.Error{Reason: reason, Err: err}
}

// repeats reports whether another caller was told of the same failure before. If the store's own
// method panics, repeats returns false.
func repeats(err error) (again bool) {
	defer func() { _ = recover() }()
	var tells interface{ Repeated() bool }
	return errors.As(err, &tells) && tells.Repeated()
}
