package rpclimit

import (
	"context"
	"time"

	"github.com/ratelimit-go/ratelimit"
)

// Config is what [New] compiles into a [Guard]. Its functions, and the functions of its rules, must
// be safe for concurrent use. If a function panics, only that call is affected, and Error is told.
type Config struct {
	// Limiter has the budgets. You must set it. Its ClientIP is where [ByClientIP] looks.
	Limiter *ratelimit.Limiter
	// Rules are the rules for calls and for messages. Without Rules and InFlight, New returns an
	// error.
	Rules []Rule
	// InFlight are bounds on the calls that run at the same time.
	InFlight []InFlight
	// Store, if non-nil, counts the calls in flight of all instances together. It must be a
	// [store.Leaser], and is usually the Store of the Limiter. If it fails, each process counts for
	// itself until it answers again. Nil always does so.
	Store ratelimit.Store
	// StoreTimeout is the longest time that a call of the Store may take. Zero means 50 ms.
	StoreTimeout time.Duration
	// LeaseTTL is how long the calls in flight of an instance that died still count, from a second
	// to an hour. Zero means 30 seconds.
	LeaseTTL time.Duration
	// Exempt are patterns of methods to which nothing applies: see Rule.Methods.
	Exempt []string
	// Fields sends RateLimit and RateLimit-Policy with responses: see [Session.Fields]. Their texts
	// are made for each call.
	Fields bool

	// Denied, if non-nil, is called for each denial, before the response.
	Denied func(ctx context.Context, c Call, d ratelimit.Decision)
	// Error, if non-nil, is called for each error or panic of a function in the Config, and for
	// each error of the Limiter, such as a budget that SetPolicy has removed. Nil logs one error
	// every 10 seconds.
	Error func(ctx context.Context, err error)

	_ struct{}
}

// Rule takes tokens for calls, or for messages, from a budget of the limiter. It needs a Name.
type Rule struct {
	// Name is the name of a budget or rule of the Limiter. Several Rules may use one budget, such
	// as with different costs. If the budget has a MaxWait, or the rule a Block, no other Rule may
	// apply to the same calls.
	Name string
	// Methods are patterns of the methods that the rule applies to: "/pkg.Service/Method" is one
	// method, "/pkg.Service/*" is every method of a service, and "*" is every method. Empty means
	// every method.
	Methods []string
	// Key says by which key to count. Nil means [ByClientIP].
	Key Keyer
	// OnMissingKey says what happens to a call that has no key. Empty means [ratelimit.ShareKey].
	// If Key fails with another error than [ratelimit.ErrNoKey], SkipRule means ShareKey.
	OnMissingKey ratelimit.MissingKey
	// Cost, if non-nil, returns the number of tokens that a call or message costs. Nil means 1. The
	// msg is the request or the received message. It is nil when a stream begins. A cost of 0
	// counts as 1. A negative cost and a panic are reported and count as 1.
	Cost func(ctx context.Context, c Call, msg any) int64
	// PerMessage counts each message that the server receives, instead of each call. The request of
	// a unary call is one message. A message over the limit ends its stream.
	PerMessage bool
	// MaxWait is how long a call or message may wait for its tokens, from 1 ms to 1 h. Zero denies
	// it at once. If its deadline comes before, it is denied at once too. At most 1,000 calls of a
	// key wait in this process, and 10,000 of all keys. They go on in order if the budget has a
	// MaxWait, and no other rule applies.
	MaxWait time.Duration
	// CountOnly, if non-nil, reports whether a call counts by its outcome, such as [Failures] or
	// [CodeIn]. If not, its tokens are refunded. A call without an outcome always counts: its
	// handler panicked, or it ended with an error after its client had left, had broken the stream,
	// or had let the deadline pass.
	CountOnly func(o Outcome) bool
	// Hidden keeps the rule out of fields, details and texts of responses, so that a client cannot
	// see how busy another client is.
	Hidden bool

	_ struct{}
}

// InFlight bounds the calls of a key that run at the same time. A call counts from before its
// tokens are taken until its handler has returned or panicked. A stream counts while it is open.
// Each process counts for itself, unless the Config has a Store.
type InFlight struct {
	// Name appears in denials: 1 to 64 printable ASCII characters, different for each InFlight. In
	// a Store it counts together with the InFlight of a [ratelimit.Rule] of the same name.
	Name string
	// Methods are patterns: see Rule.Methods.
	Methods []string
	// Key says by which key to count. Nil means [ByClientIP].
	Key Keyer
	// OnMissingKey says what happens to a call that has no key: see Rule.OnMissingKey.
	OnMissingKey ratelimit.MissingKey
	// Max is how many calls of a key may run, from 1 to a million.
	Max int
	// Hidden keeps Name out of responses: see Rule.Hidden.
	Hidden bool

	_ struct{}
}

// Call is what a [Keyer] or a cost can know of a call, beside its context.
type Call struct {
	// Method is the name of the procedure, such as "/pkg.Service/Method".
	Method string
	// Transport tells what the framework knows of the call.
	Transport Transport

	source *source // of the Limiter
}

// Outcome is how a call ended, for Rule.CountOnly.
type Outcome struct {
	// Method is the name of the procedure.
	Method string
	// Code is the status code, as gRPC and Connect number them. Zero is success.
	Code uint32
	// Duration is how long the handler took.
	Duration time.Duration
}

// Failures reports whether a call ended with an error. It is for Rule.CountOnly.
func Failures(o Outcome) bool { return o.Code != 0 }

// CodeIn returns a function that reports whether a call ended with one of the given codes, which
// are of type codes.Code or connect.Code. It is for Rule.CountOnly. With codes.Unauthenticated only
// failed logins count.
func CodeIn[C ~uint32](codes ...C) func(Outcome) bool {
	set := make(map[uint32]bool, len(codes))
	for _, c := range codes {
		set[uint32(c)] = true
	}
	return func(o Outcome) bool { return set[o.Code] }
}
