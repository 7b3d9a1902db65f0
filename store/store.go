package store

import (
	"context"
	"fmt"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/key"
)

// A Store keeps buckets and decides on them.
//
// Apply is one atomic step. It evaluates ops in order, each on the buckets as the ops before it
// would leave them. If any [Take] is denied, Apply changes no bucket. Otherwise it applies all ops.
// Each op finds its answer in its own Result. Apply overwrites the Results that it finds.
//
// Apply returns an error only if it could not decide. A denial is not an error. After an error the
// Results mean nothing and no bucket has changed, with one exception: a network store that timed
// out cannot know. An op that [CheckOps] rejects is such an error too.
//
// A Store must be safe for concurrent use. Apply must return when ctx is done. It must not retry a
// take whose outcome is unknown, hold a lock while it waits for another machine, or keep any part
// of ops after it returns, except values that it copied.
//
// A bucket is known by the rule and index of its limit and by its key. A bucket that was never seen
// is full. A store may forget a bucket only when it is full again. If the numbers of a limit
// change, each key keeps what it has spent, in tokens. Instances with other numbers may call at the
// same time: in any time t, all their takes together are at most the largest burst and t times the
// fastest rate. If they have other limits too, they count what each other take: see [Carry].
type Store interface {
	Apply(ctx context.Context, ops []Op) error
}

// A Checker is a [Store] that cannot hold every limit. The ability is optional. A Store that wraps
// another has it only if it implements Check itself.
//
// ratelimit.New calls Check with the limits that one request can meet together. The error says
// which of them the store cannot hold, or how many it decides at once. Check must not call a
// server.
type Checker interface {
	Check(limits []*Limit) error
}

// Key is what a limit counts by, such as a user or an address: a comparable value of 24 bytes. Its
// methods are
//
//	IsZero() bool                            // whether it identifies no client
//	AppendBinary(b []byte) ([]byte, error)   // its canonical form for a store, 24 bytes at most
//	String() string                          // its text for people, such as "user:alice"
//	MarshalText, UnmarshalText, LogValue     // the same text for JSON and log/slog
//
// Package ratelimit makes Keys.
type Key = key.Key

// An Op is one operation on one bucket. A field that is added in the future will keep today's
// meaning if it is zero. A Store ignores the fields that it does not know. Write Op literals with
// field names.
type Op struct {
	// Kind says what to do. The zero Kind is Take.
	Kind Kind
	// Shared says that a Refund puts back what a Take with Result.Overflow has taken. Without it, a
	// Refund never touches a bucket that several keys share. Stores without Overflow ignore it.
	Shared bool
	// Alone says that Key must share no bucket. If the store has no room for Key, it decides on a
	// full bucket, forgets it, and sets Result.Overflow. Stores without Overflow ignore it.
	Alone bool
	// Limit names the limit of the bucket and gives its numbers. It must not be nil.
	Limit *Limit
	// Key says whose bucket it is. It must not be the zero Key.
	Key Key
	// Cost is a number of tokens: to take, to ask for, or to refund. It must not be negative.
	// Reset ignores it.
	Cost int64
	// Result is the answer.
	Result Result
}

// Kind says what an [Op] does.
type Kind uint8

const (
	// Take takes Cost tokens. If the bucket has fewer, the whole batch is denied. A Take of 0
	// tokens is always allowed and leaves no trace.
	Take Kind = iota
	// Peek answers as Take would. It takes no token and denies no batch. If the numbers of the
	// limit have changed, Peek may settle at which rate old debts are paid, so that its RetryAfter
	// comes true.
	Peek
	// Refund puts Cost tokens back. A bucket never holds more than its burst. For a key without a
	// bucket of its own, Refund and Reset take back only what earlier ops of the batch have taken:
	// a bucket that several keys share is not theirs. Op.Shared is the exception.
	Refund
	// Reset makes the bucket full.
	Reset
	// TakeUpTo takes Cost tokens, or all tokens that there are. It charges for work that is already
	// done, so it is never denied. An empty bucket owes nothing more.
	TakeUpTo
)

// String returns the name of the constant, such as "Take".
func (k Kind) String() string {
	names := [...]string{"Take", "Peek", "Refund", "Reset", "TakeUpTo"}
	if int(k) >= len(names) {
		return fmt.Sprintf("Kind(%d)", uint8(k))
	}
	return names[k]
}

// MarshalText implements [encoding.TextMarshaler]. The text is the text of String.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. The text must be the name of a constant.
func (k *Kind) UnmarshalText(text []byte) error {
	for kind := Take; kind <= TakeUpTo; kind++ {
		if kind.String() == string(text) {
			*k = kind
			return nil
		}
	}
	return fmt.Errorf("store: unknown kind %.40q", text)
}

// Result is the answer to one [Op].
type Result struct {
	// Allowed reports whether the bucket had the tokens. It is always true for Refund, Reset and
	// TakeUpTo. A Take was charged only if every Take of its batch was allowed.
	Allowed bool
	// ExceedsBurst reports that the op was denied because Cost is more than the bucket can hold.
	// Waiting does not help.
	ExceedsBurst bool
	// Overflow reports that the store had no room for the key. It decided on a bucket that several
	// keys share, or on a full one if the op is Alone.
	Overflow bool
	// Remaining is the number of whole tokens in the bucket after the batch, rounded down.
	Remaining int64
	// RetryAfter is the shortest time after which the same op would be allowed if no other op took
	// a token, rounded up. It is zero if the op was allowed or ExceedsBurst is set.
	RetryAfter time.Duration
	// ResetAfter is the time until the bucket is full, rounded up.
	ResetAfter time.Duration
}
