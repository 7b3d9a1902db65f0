package ratelimit

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/blocks"
	"github.com/ratelimit-go/ratelimit/internal/inflight"
	"github.com/ratelimit-go/ratelimit/internal/keyer"
	"github.com/ratelimit-go/ratelimit/internal/pace"
	"github.com/ratelimit-go/ratelimit/internal/respond"
	"github.com/ratelimit-go/ratelimit/internal/routes"
)

// Rule is a named policy: which requests to count, by which key, up to which limits, and what to do
// beyond them. It needs a Name, and Limits or InFlight. The zero value of every other field is the
// ordinary case. The functions of a Rule must be safe for concurrent use.
type Rule struct {
	_ [0]func()

	// What is limited.

	// Name names the policy in header fields, followed by -1, -2 and so on if there are several
	// limits, and its buckets in the store. It is 1 to 64 printable ASCII characters without quotes
	// and backslashes, different for each rule.
	Name string
	// Limits must all allow a request. The buckets of a limit are known by its place in Limits, so
	// when its numbers change, each key keeps what it has spent. A rule with InFlight needs none.
	Limits Limits
	// LimitsFor, if non-nil, chooses the limits of a key, such as by the plan of a user. If it
	// returns none, Limits apply. Take, Peek and Explain call it too.
	LimitsFor func(ctx context.Context, key Key) Limits
	// Key says by which key to count. Nil means [ByClientIP].
	Key Keyer
	// OnMissingKey says what happens to a request that has no key. Empty means [ShareKey].
	OnMissingKey MissingKey

	// To which requests it applies.

	// Methods, if not empty, are the only methods that the rule applies to. GET stands for HEAD
	// too. A method that overrides the method of the request counts too: see docs/routes.md.
	Methods []string
	// Skip, if non-nil, reports whether the rule does not apply to the request: see Config.Exempt.
	Skip func(r *http.Request) bool

	// How much a request costs.

	// Cost, if non-nil, returns the number of tokens that the request costs. Nil means 1. A cost of
	// 0 counts as 1, because a client that can make its requests cheap must not make them free: use
	// Skip or CountOnly for that. A negative cost is reported as an error and counts as 1.
	Cost func(r *http.Request) int64
	// CountOnly, if non-nil, reports whether a response counts, such as [Failures] or [StatusIn].
	// If not, the tokens that Cost reserved are refunded. A response that the limiter has not seen
	// counts, and that is reported once: see [Response].Status.
	CountOnly func(Response) bool
	// ResponseCost, if non-nil, returns the final cost of a request that counts, after its handler
	// has returned or panicked. Until then the request holds the tokens that Cost reserved. The
	// difference is refunded, or taken as far as tokens are left. If ResponseCost panics or returns
	// a negative number, that is reported and the reservation is charged. A cost of 0 counts as 1.
	// A response that the limiter has not seen costs at least what was reserved.
	ResponseCost func(Response) int64

	// What happens instead of a denial, or beyond it.

	// MaxWait, from 1 ms to 1 h, is how long a request may be held until its tokens are there. Zero
	// denies it at once. All instances together hold requests in the order in which they came. A
	// request is denied at once if it would wait longer, or beyond the deadline of its context. A
	// held request keeps the places that outer decorators and limiters gave it under InFlight, and
	// the place of an outer shed.Shedder: put those inside, or InFlight beside MaxWait. See
	// docs/operating.md for held requests at shutdown.
	MaxWait time.Duration
	// MaxWaiting is how many requests of a key a rule with MaxWait holds per process. All keys
	// together have ten times as many places. More requests are denied at once. Zero means 1,000.
	// Usually MaxWait allows fewer: at 20 per second, 2 s are 40 requests of a key.
	MaxWaiting int
	// InFlight is how many requests of a key may be in flight, a million at most. Zero is no bound.
	// A request counts from before its tokens are taken until its handler returns, panics or exits.
	// If the MaxWait of another rule may hold it, it counts from when the wait is over, and so it
	// does if Key counts all clients together. A denial costs nothing. Its status is 503 if Key
	// counts all clients together, and 429 otherwise. If the Store is a [store.Leaser], all
	// instances count together. Otherwise each process counts for itself.
	InFlight int
	// Block blocks keys that keep exceeding the rule. Nil blocks no key.
	Block *Block

	// How it is operated.

	// Mode says whether the rule denies requests. Empty means [Enforce]. See [Limiter.SetMode].
	Mode Mode
	// OnStoreFailure says what happens to the rule when the Store fails. Empty means the policy of
	// the Config. If any rule of a request is FailClosed, the request is denied. Otherwise the
	// rules with UseMemory decide, and the rules with FailOpen do not apply.
	OnStoreFailure FailurePolicy
	// OmitHeaders keeps the rule out of header fields and bodies, so that a client cannot see how
	// busy another client is.
	OmitHeaders bool
}

// Budget is a limit that applies only to [Limiter.Take], [Limiter.Wait] and [Limiter.Apply]. Its
// fields mean the same as in [Rule].
type Budget struct {
	_ [0]func()

	Name           string                                    // differs from the names of all rules
	Limits         Limits                                    // see Rule.Limits
	LimitsFor      func(ctx context.Context, key Key) Limits // see Rule.LimitsFor
	MaxWait        time.Duration                             // see Rule.MaxWait
	OnStoreFailure FailurePolicy                             // see Rule.OnStoreFailure
}

func (b *Budget) rule() Rule {
	return Rule{
		Name: b.Name, Limits: b.Limits, LimitsFor: b.LimitsFor, MaxWait: b.MaxWait,
		OnStoreFailure: b.OnStoreFailure, OmitHeaders: true,
	}
}

// MissingKey is what a [Rule] does with a request without a key.
type MissingKey string

const (
	// ShareKey counts all such requests in one bucket of the rule.
	ShareKey MissingKey = "share"
	// DenyRequest denies them with status 403.
	DenyRequest MissingKey = "deny"
	// SkipRule does not apply the rule to them.
	SkipRule MissingKey = "skip"
)

// A Block blocks a key of its [Rule] that keeps exceeding the rule. A violation is a request that
// the limits of the rule deny or, with When, a response. The first block lasts For. Each repetition
// doubles it, up to Max. The zero Block blocks only by [Limiter.Block].
//
// The limiter denies a blocked key with status 429 and the end of the block as RetryAfter, usually
// without a call of the Store. A request of a blocked key costs nothing and is no violation.
// Clients that share a key share its block, so a Key that counts all clients together is a mistake,
// such as [Global]. Requests without a key are never blocked. See docs/abuse.md.
type Block struct {
	_ [0]func()

	// After is how many violations lead to a block, and in what time, such as "10 per 10 minutes".
	// It is a token bucket: the violation that takes its last token blocks the key, and fills it
	// again. The zero Limit blocks no key.
	After Limit
	// For is how long the first block lasts, at least a second. Zero means a minute. All times here
	// are rounded up to milliseconds. Let For be at least as long as a token of the limits takes.
	For time.Duration
	// Max is how long a block lasts at most, a year or less. Zero means an hour, or For if longer.
	Max time.Duration
	// Forget is the time without a block after which one earlier block is forgotten, so that the
	// next is half as long: a second to 90 days. Zero means a day.
	Forget time.Duration
	// When, if non-nil, reports whether a response is a violation too, such as a failed login. It
	// is called when the handler has returned or panicked. If it panics itself, there is no
	// violation. A response that the limiter has not seen is one: see [Response].Status.
	When func(Response) bool
}

// Blocked is a key that is blocked under a rule with a [Block].
type Blocked struct {
	// Rule is the name of the rule.
	Rule string
	// Key is the key that is blocked.
	Key Key
	// Until is when the block ends.
	Until time.Time
	// Times is how often the key was blocked, this time included, except blocks that are forgotten.
	// It is 0 if the key was blocked by hand or by another process.
	Times int
}

// keysWaiting times MaxWaiting is how many requests of all keys a rule holds.
const keysWaiting = 10

func (r *Rule) check(m *mistakes, field string) {
	if !respond.ValidName(r.Name) {
		m.addf(field+".Name",
			"%q: want 1 to 64 printable ASCII characters without quotes and backslashes", r.Name)
	}
	if len(r.Limits) > 0 || r.InFlight <= 0 {
		m.add(field+".Limits", r.Limits.check())
	} else if r.LimitsFor == nil && (r.Cost != nil || r.CountOnly != nil || r.ResponseCost != nil) {
		m.addf(field+".Limits", "none, so that no Cost, CountOnly or ResponseCost counts: want Limits too")
	}
	if r.Key != nil {
		for _, err := range keyer.Check(r.Key) {
			m.add(field+".Key", err)
		}
	}
	switch r.OnMissingKey {
	case "", ShareKey, DenyRequest, SkipRule:
	default:
		m.addf(field+".OnMissingKey",
			"unknown choice %q: want ShareKey, DenyRequest or SkipRule", r.OnMissingKey)
	}
	if !r.OnStoreFailure.valid() {
		m.addf(field+".OnStoreFailure", unknownPolicy+", or none for that of the Config", r.OnStoreFailure)
	}
	if r.Block != nil {
		r.Block.check(m, field+".Block")
		counts := r.Block.After != (Limit{}) && r.Block.When == nil
		if counts && r.InFlight > 0 && len(r.Limits) == 0 && r.LimitsFor == nil {
			m.addf(field+".Block", "no Limits that a key could exceed, and no When: want one of them")
		}
		if r.Block.After != (Limit{}) && keyer.SharesBlock(r.Key) {
			m.addf(field+".Block", "the Key does not tell clients apart, so one client would block others: "+
				"want a key of a client, or no After, to block by hand only")
		}
	}
	if _, _, ok := r.Mode.parse(); !ok {
		m.addf(field+".Mode", unknownMode, r.Mode)
	}
	for _, method := range r.Methods {
		m.add(field+".Methods", routes.CheckMethod(method))
	}
	m.add(field+".InFlight", inflight.CheckMost(r.InFlight))
	err := inflight.CheckWait(r.MaxWait)
	if err == nil && r.LimitsFor == nil {
		err = r.Limits.checkWait(r.MaxWait)
	}
	m.add(field+".MaxWait", err)
	m.add(field+".MaxWaiting", inflight.CheckWaiting(r.MaxWaiting, r.MaxWait))
}

// checkWait reports that no request would be held for wait, if that is so.
func (ls Limits) checkWait(wait time.Duration) error {
	if wait == 0 || len(ls) > 0 && ls.check() != nil || slices.Contains(ls, unlimited()) {
		return nil
	}
	return pace.CheckWait(ls, wait)
}

func (b *Block) check(m *mistakes, field string) {
	switch err := b.After.check(); {
	case b.After == Limit{} && b.When != nil:
		m.addf(field+".After",
			"a When, but no number of violations that blocks: want for example Per(10, time.Minute)")
	case b.After != Limit{} && err != nil:
		m.add(field+".After", err)
	case b.After.isUnlimited():
		m.addf(field+".After",
			"unlimited: want a number of violations, or the zero Limit if no number blocks")
	}
	for _, mistake := range b.policy().Check() {
		m.add(field+"."+mistake.Field, mistake.Err)
	}
}

func (b *Block) policy() blocks.Policy {
	return blocks.Policy{
		AfterCount: b.After.Count, AfterPeriod: b.After.Period, AfterBurst: b.After.Burst,
		For: b.For, Max: b.Max, Forget: b.Forget,
	}
}
