package store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/ratelimit-go/ratelimit/store"
)

// tells is an error that tells its reason.
type tells store.Reason

func (e tells) Error() string               { return "failed" }
func (e tells) FailureReason() store.Reason { return store.Reason(e) }

// A timeout is a net.Error.
type timeout struct{}

func (timeout) Error() string   { return "too late" }
func (timeout) Timeout() bool   { return true }
func (timeout) Temporary() bool { return false }

func TestReasonOf(t *testing.T) {
	for _, row := range []struct {
		name string
		err  error
		want store.Reason
	}{
		{"its own reason", tells("readonly"), store.ReasonReadOnly},
		{"its own reason, wrapped", fmt.Errorf("apply: %w", tells("busy")), store.ReasonBusy},
		{"its own reason before the context's", fmt.Errorf("%w: %w", tells("script"), context.Canceled), store.ReasonScript},
		{"a reason that does not exist", tells("bad weather"), store.ReasonOther},
		{"no reason", tells(""), store.ReasonOther},
		{"down, which a store cannot say", tells("down"), store.ReasonOther},
		{"an invalid op", fmt.Errorf("apply: %w", store.ErrInvalidOp), store.ReasonInvalid},
		{"a deadline", fmt.Errorf("apply: %w", context.DeadlineExceeded), store.ReasonTimeout},
		{"a canceled context", context.Canceled, store.ReasonTimeout},
		{"a deadline of a connection", os.ErrDeadlineExceeded, store.ReasonTimeout},
		{"a network timeout", fmt.Errorf("read: %w", timeout{}), store.ReasonTimeout},
		{"a connection that fails", &net.OpError{Op: "dial", Err: errors.New("refused")}, store.ReasonConnect},
		{"an end of a connection", io.EOF, store.ReasonConnect},
		{"an unexpected end", fmt.Errorf("read: %w", io.ErrUnexpectedEOF), store.ReasonConnect},
		{"a closed connection", net.ErrClosed, store.ReasonConnect},
		{"any other error", errors.New("?"), store.ReasonOther},
		{"no error", nil, store.ReasonOther},
	} {
		assert.Equal(t, row.want, store.ReasonOf(row.err), row.name)
	}
	for _, reason := range store.Reasons() {
		if reason != store.ReasonDown {
			assert.Equal(t, reason, store.ReasonOf(tells(reason)))
		}
	}
}

func TestReasonsAreADifferentWordEach(t *testing.T) {
	assert.Equal(t, []store.Reason{
		"timeout", "connect", "readonly", "cluster", "busy", "memory", "auth", "script", "key", "invalid", "panic", "down", "other",
	}, store.Reasons())
	store.Reasons()[0] = "changed"
	assert.Equal(t, store.ReasonTimeout, store.Reasons()[0], "a caller cannot change them")
}

func TestErrorWrapsWhatTheStoreReturned(t *testing.T) {
	err := error(&store.Error{Reason: store.ReasonConnect, Err: io.EOF})
	assert.EqualError(t, err, "ratelimit: store: EOF")
	assert.ErrorIs(t, err, io.EOF)
	down := &store.Error{Reason: store.ReasonDown, Err: store.ErrDown}
	assert.EqualError(t, down, "ratelimit: store: not called, because it has failed several times in a row")
}
