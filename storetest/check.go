package storetest

import (
	"context"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ratelimit-go/ratelimit"
)

// A check is one case under way, on a store of its own.
type check struct {
	testing.TB
	h     Harness
	rule  string
	store ratelimit.Store

	advanced time.Duration // by the case, since it began
	started  time.Time     // the last restart
	waited   time.Duration // the real time since then that is part of advanced
}

// restart forgets the time that the case took until now. Buckets that were used
// before must not be used again.
func (c *check) restart() { c.started, c.waited = time.Now(), 0 }

func (c *check) advance(d time.Duration) {
	if d <= 0 {
		return
	}
	before := time.Now()
	if c.h.Advance != nil {
		c.h.Advance(d)
	} else {
		time.Sleep(d)
	}
	c.advanced += d
	c.waited += min(time.Since(before), d)
}

func (c *check) exact() bool { return c.h.Resolution == 0 }

// slack is the most by which the store's clock may differ from c.advanced.
func (c *check) slack() time.Duration {
	if c.exact() {
		return 0
	}
	return c.h.Resolution + time.Since(c.started) - c.waited
}

// unit is a time that is long compared with the resolution, and not too long to wait.
func (c *check) unit() time.Duration {
	if c.exact() {
		return time.Minute
	}
	return max(100*time.Millisecond, 50*c.h.Resolution)
}

// named returns the limit that text says. Where time should not matter, a token
// should take minutes.
func (c *check) named(rule string, index int, text string) *ratelimit.NamedLimit {
	c.Helper()
	return c.name(rule, index, ratelimit.MustParse(text)[0])
}

// perUnit returns a limit of one token per unit.
func (c *check) perUnit(burst int64) *ratelimit.NamedLimit {
	c.Helper()
	return c.name("unit", 0, ratelimit.Limit{Count: 1, Period: c.unit(), Burst: burst})
}

func (c *check) name(rule string, index int, l ratelimit.Limit) *ratelimit.NamedLimit {
	c.Helper()
	n, err := ratelimit.NameLimit(rule, index, l)
	if err != nil {
		c.Fatalf("storetest: %v", err)
	}
	return n
}

func (c *check) fatalf(format string, args ...any) {
	c.Helper()
	c.Fatalf("%s\nThe contract: %s", fmt.Sprintf(format, args...), c.rule)
}

// apply is Apply, which must not fail.
func (c *check) apply(ops ...ratelimit.Op) []ratelimit.Result {
	c.Helper()
	results, err := c.try(context.Background(), ops)
	if err != nil {
		c.fatalf("Apply(%s) returned the error %v", show(ops), err)
	}
	return results
}

func (c *check) one(op ratelimit.Op) ratelimit.Result {
	c.Helper()
	return c.apply(op)[0]
}

// try calls Apply with a copy of ops and old Results in it, and spoils the copy
// afterwards. It fails if the copy was changed or a Result makes no sense.
func (c *check) try(ctx context.Context, ops []ratelimit.Op) ([]ratelimit.Result, error) {
	c.Helper()
	given := slices.Clone(ops)
	for i := range given {
		given[i].Result = ratelimit.Result{
			Allowed: true, Never: true, Overflow: true, Remaining: -1, RetryAfter: -1, ResetAfter: -1,
		}
	}
	err := c.store.Apply(ctx, given)
	results := make([]ratelimit.Result, len(ops))
	for i := range given {
		results[i], given[i].Result = given[i].Result, ops[i].Result
		if given[i] != ops[i] {
			c.fatalf("Apply changed op %d of (%s) itself, not its Result", i, show(ops))
		}
		if err != nil || ops[i].Limit == nil { // the caller wants an error for that
			continue
		}
		if wrong := c.nonsense(ops[i], results[i]); wrong != "" {
			c.fatalf("Apply(%s): op %d: %s: %+v", show(ops), i, wrong, results[i])
		}
	}
	clear(given)
	return results, err
}

// nonsense returns what is wrong with r, whatever the state of the bucket.
func (c *check) nonsense(op ratelimit.Op, r ratelimit.Result) string {
	burst := op.Limit.Limit().Burst
	asks := op.Kind == ratelimit.OpTake || op.Kind == ratelimit.OpPeek
	switch {
	case r.Overflow:
		return "Overflow is set, but there is room"
	case !asks && !r.Allowed:
		return "a credit or reset is not allowed"
	case r.Never != (asks && op.Cost > burst):
		return fmt.Sprintf("Never does not say whether the cost is more than the burst of %d", burst)
	case r.Never && r.Allowed:
		return "both Allowed and Never are set"
	case (r.Allowed || r.Never) && r.RetryAfter != 0:
		return "there is a RetryAfter, but nothing to wait for"
	case !r.Allowed && !r.Never && r.RetryAfter <= 0:
		return "a refusal has no RetryAfter"
	case r.Remaining < 0 || r.Remaining > burst:
		return fmt.Sprintf("Remaining is not from 0 to the burst of %d", burst)
	case r.ResetAfter < 0:
		return "ResetAfter is negative"
	case c.exact() && (r.Remaining == burst) != (r.ResetAfter == 0):
		return "Remaining and ResetAfter do not agree on whether the bucket is full"
	}
	return ""
}

// wantSpent peeks at a bucket, from which so many tokens must be missing.
func (c *check) wantSpent(what string, l *ratelimit.NamedLimit, key ratelimit.Key, spent int64) {
	c.Helper()
	c.wantLevel(what, l, c.one(peek(l, key, 0)), spent)
}

// wantLevel fails unless r says that spent tokens are missing from its bucket.
func (c *check) wantLevel(what string, l *ratelimit.NamedLimit, r ratelimit.Result, spent int64) {
	c.Helper()
	left := l.Limit().Burst - spent
	c.wantRemaining(what, l, r, left, left+tokensIn(l, c.slack()))
	c.wantTime(what+": ResetAfter", r.ResetAfter, timeOf(l, spent))
}

// wantDebt is wantLevel for part of a token, said by the time it takes. Each token
// must take a whole number of nanoseconds.
func (c *check) wantDebt(what string, l *ratelimit.NamedLimit, r ratelimit.Result, debt time.Duration) {
	c.Helper()
	left := timeOf(l, l.Limit().Burst) - debt
	c.wantRemaining(what, l, r, tokensIn(l, left-c.h.Resolution), tokensIn(l, left+c.slack()))
	c.wantTime(what+": ResetAfter", r.ResetAfter, debt)
}

func (c *check) wantRemaining(what string, l *ratelimit.NamedLimit, r ratelimit.Result, low, high int64) {
	c.Helper()
	low, high = max(low, 0), min(high, l.Limit().Burst)
	if low <= r.Remaining && r.Remaining <= high {
		return
	}
	if low == high {
		c.fatalf("%s: Remaining is %d, want %d", what, r.Remaining, low)
	}
	c.fatalf("%s: Remaining is %d, want %d to %d", what, r.Remaining, low, high)
}

func (c *check) wantTime(what string, got, want time.Duration) {
	c.Helper()
	if got > want+c.h.Resolution || got < want-c.slack() {
		c.fatalf("%s is %v, want %v (or up to %v less)", what, got, want, c.slack())
	}
}

func (c *check) wantAllowed(what string, r ratelimit.Result) {
	c.Helper()
	if !r.Allowed {
		c.fatalf("%s: refused: %+v", what, r)
	}
}

// wantRefused fails unless r is a refusal for as long as wait. If the case has
// taken that long already, it gives up.
func (c *check) wantRefused(what string, r ratelimit.Result, wait time.Duration) {
	c.Helper()
	if !r.Allowed && !r.Never {
		c.wantTime(what+": RetryAfter", r.RetryAfter, wait)
		return
	}
	if r.Allowed && !c.exact() && c.slack() >= wait {
		c.Skipf("%s: too slow to tell: the case took %v", what, c.slack())
	}
	c.fatalf("%s: want a refusal for %v: %+v", what, wait, r)
}

// timeOf returns the time n tokens take, rounded up.
func timeOf(l *ratelimit.NamedLimit, n int64) time.Duration {
	t := new(big.Int).Mul(big.NewInt(n), big.NewInt(int64(l.Limit().Period)))
	t.Add(t, big.NewInt(l.Limit().Count-1))
	return time.Duration(t.Div(t, big.NewInt(l.Limit().Count)).Int64())
}

// tokensIn returns the whole tokens that d is worth.
func tokensIn(l *ratelimit.NamedLimit, d time.Duration) int64 {
	n := new(big.Int).Mul(big.NewInt(int64(d)), big.NewInt(l.Limit().Count))
	return n.Div(n, big.NewInt(int64(l.Limit().Period))).Int64()
}

func take(l *ratelimit.NamedLimit, key ratelimit.Key, n int64) ratelimit.Op {
	return ratelimit.Op{Kind: ratelimit.OpTake, Limit: l, Key: key, Cost: n}
}

func peek(l *ratelimit.NamedLimit, key ratelimit.Key, n int64) ratelimit.Op {
	return ratelimit.Op{Kind: ratelimit.OpPeek, Limit: l, Key: key, Cost: n}
}

func credit(l *ratelimit.NamedLimit, key ratelimit.Key, n int64) ratelimit.Op {
	return ratelimit.Op{Kind: ratelimit.OpCredit, Limit: l, Key: key, Cost: n}
}

func reset(l *ratelimit.NamedLimit, key ratelimit.Key) ratelimit.Op {
	return ratelimit.Op{Kind: ratelimit.OpReset, Limit: l, Key: key}
}

func drain(l *ratelimit.NamedLimit, key ratelimit.Key, n int64) ratelimit.Op {
	return ratelimit.Op{Kind: ratelimit.OpDrain, Limit: l, Key: key, Cost: n}
}

// show returns ops as text, such as "take 2 of login[0] user:alice".
func show(ops []ratelimit.Op) string {
	verbs := [...]string{"take", "peek", "credit", "reset"}
	parts := make([]string, len(ops))
	for i, op := range ops {
		verb := fmt.Sprintf("kind %d", op.Kind)
		if int(op.Kind) < len(verbs) {
			verb = verbs[op.Kind]
		}
		limit := "no limit"
		if op.Limit != nil {
			limit = fmt.Sprintf("%s[%d] (%v)", op.Limit.Rule(), op.Limit.Index(), op.Limit.Limit())
		}
		parts[i] = fmt.Sprintf("%s %d of %s %v", verb, op.Cost, limit, op.Key)
	}
	if len(parts) > 8 {
		parts = append(parts[:8], fmt.Sprintf("and %d more", len(ops)-8))
	}
	return strings.Join(parts, ", ")
}

func user(id string) ratelimit.Key { return ratelimit.UserKey(id) }
