package storetest

import (
	"context"
	"errors"
	"math"
	"time"

	"golang.org/x/time/rate"

	"github.com/ratelimit-go/ratelimit"
)

// Reference is a [ratelimit.Store] that has a [rate.Limiter] for each bucket: the
// link between this package and golang.org/x/time/rate. It decides on all ops by
// [rate.Limiter.TokensAt], and only then charges them by [rate.Limiter.AllowN]: it
// never reserves and cancels, which does not give back all it took. All is done
// under one mutex and at instants that never go back, without which a rate.Limiter
// admits too much.
//
// It counts in float64, so it is not exact. Compare with a tolerance:
//   - Waits may be off by some nanoseconds, the more the longer a bucket takes to
//     fill: a float64 cannot tell nanoseconds apart over more than 104 days.
//   - A take may be allowed, or refused, by as much too early or too late.
//   - Remaining may be 1 more than it should be if less than a millionth of a token
//     is missing; it is rounded so that whole numbers of tokens stay whole.
//   - Where an int has 32 bits, so has the burst.
//
// Like [Exact], it is slow and forgets nothing. It is safe for use by several
// goroutines. The zero Reference is not usable: call [NewReference].
type Reference struct {
	ledger *ledger
}

var _ ratelimit.Store = (*Reference)(nil)

// NewReference returns an empty Reference that reads the time from now, or from
// [time.Now] if now is nil. A reading earlier than one before it counts as that one.
func NewReference(now func() time.Time) *Reference {
	return &Reference{newLedger(now, func() account { return new(rateAccount) })}
}

// Apply implements [ratelimit.Store].
func (s *Reference) Apply(ctx context.Context, ops []ratelimit.Op) error {
	return s.ledger.apply(ctx, ops)
}

// tokenError is the part of a token that may be missing from a whole one.
const tokenError = 1e-6

// rateAccount keeps the takes and credits (as negative takes) that are on trial,
// to do them again in the same order, and so with the same rounding, on lim.
type rateAccount struct {
	limit ratelimit.Limit
	lim   *rate.Limiter
	now   time.Time
	trial float64 // tokens left
	todo  []int
}

func (a *rateAccount) begin(now time.Time, l ratelimit.Limit) {
	a.now = now
	switch {
	case a.lim == nil:
		a.lim = rate.NewLimiter(l.Rate(), burst(l))
	case a.limit != l:
		a.change(l)
	}
	a.limit = l
	a.trial, a.todo = a.lim.TokensAt(now), nil
}

// change keeps what was spent, where a rate.Limiter by itself keeps what is left.
func (a *rateAccount) change(l ratelimit.Limit) {
	more := burst(l) - burst(a.limit)
	if more < 0 && !a.lim.AllowN(a.now, -more) {
		a.lim = rate.NewLimiter(l.Rate(), burst(l)) // more was spent than it can hold
		a.lim.AllowN(a.now, burst(l))
		return
	}
	a.lim.SetLimitAt(a.now, l.Rate())
	a.lim.SetBurstAt(a.now, burst(l))
	if more > 0 {
		a.lim.AllowN(a.now, -more)
	}
}

// wait counts as AllowN does, which takes less than one nanosecond for none.
func (a *rateAccount) wait(n int64) time.Duration {
	ns := a.timeOf(float64(n) - a.trial)
	if ns < 1 {
		return 0
	}
	return time.Duration(math.Ceil(ns))
}

func (a *rateAccount) charge(n int64) {
	a.trial -= float64(n)
	a.todo = append(a.todo, int(n))
}

func (a *rateAccount) credit(n int64) {
	back := min(n, int64(burst(a.limit)))
	a.trial = min(a.trial+float64(back), float64(burst(a.limit)))
	a.todo = append(a.todo, -int(back))
}

// all stands for all tokens that there are, whole or not, among the takes on trial.
const all = math.MinInt

func (a *rateAccount) drain(n int64) {
	if float64(n) <= a.trial {
		a.charge(n)
		return
	}
	a.trial = 0
	a.todo = append(a.todo, all)
}

func (a *rateAccount) commit() error {
	for _, n := range a.todo {
		if n == all {
			a.lim = rate.NewLimiter(a.limit.Rate(), burst(a.limit))
			n = burst(a.limit)
		}
		if !a.lim.AllowN(a.now, n) {
			return errors.New("storetest: a rate.Limiter refused the tokens that it had")
		}
	}
	a.todo = nil
	return nil
}

func (a *rateAccount) level() (int64, time.Duration) {
	full := float64(burst(a.limit))
	left := max(a.lim.TokensAt(a.now), 0)
	whole := math.Floor(min(left+tokenError, full))
	return int64(whole), time.Duration(math.Ceil(a.timeOf(full - left)))
}

// timeOf returns the nanoseconds that so many tokens take.
func (a *rateAccount) timeOf(tokens float64) float64 {
	return tokens / float64(a.limit.Rate()) * float64(time.Second)
}

func burst(l ratelimit.Limit) int { return int(min(l.Burst, math.MaxInt)) }
