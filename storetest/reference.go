package storetest

import (
	"context"
	"errors"
	"math"
	"time"

	"golang.org/x/time/rate"

	"github.com/ratelimit-go/ratelimit/store"
)

// Reference is a [store.Store] that has a [rate.Limiter] for each bucket. It ties this package to
// golang.org/x/time/rate. It decides all ops by [rate.Limiter.TokensAt], and then charges them by
// [rate.Limiter.AllowN]. It uses no reservations, because a canceled one does not refund all that
// it took. It works under one mutex at instants that never go back. Otherwise a rate.Limiter would
// allow too much.
//
// It counts in float64, so it is not exact. Compare with a tolerance:
//   - Waits may be off by some nanoseconds. The error grows with the time that a bucket takes to
//     fill: beyond 104 days, a float64 cannot tell nanoseconds apart.
//   - A take may be allowed or denied too early or too late by the same error.
//   - Remaining is rounded so that whole numbers of tokens stay whole. It may be 1 too high if less
//     than a millionth of a token is missing.
//   - Where an int has 32 bits, the burst has 32 bits too.
//
// Like [Exact], it is slow, forgets nothing, and is safe for concurrent use. The zero Reference is
// not usable: call [NewReference].
type Reference struct {
	ledger *ledger
}

var _ store.Store = (*Reference)(nil)

// NewReference returns an empty Reference that reads the time from now. Nil means [time.Now]. A
// Reference treats a reading that is earlier than a previous one as equal to it.
func NewReference(now func() time.Time) *Reference {
	return &Reference{newLedger(now, func() account { return new(rateAccount) })}
}

// Apply implements [store.Store].
func (s *Reference) Apply(ctx context.Context, ops []store.Op) error {
	return s.ledger.apply(ctx, ops)
}

// tokenError is the part of a token that may be missing from a whole one.
const tokenError = 1e-6

// rateAccount keeps the charges of a trial, where a negative charge is a refund. commit repeats
// them on lim in the same order, so the rounding is the same.
//
// A debt above a lower burst stays. So lim has the largest burst that was used, and the limit that
// is used now leaves the rest of it alone.
type rateAccount struct {
	limit numbers
	lim   *rate.Limiter
	burst int // of lim
	now   time.Time
	trial float64 // tokens left, below 0 for a debt above the burst
	todo  []int
}

func (a *rateAccount) begin(now time.Time, l numbers) {
	a.now = now
	switch {
	case a.lim == nil:
		a.lim, a.burst = rate.NewLimiter(l.rate(), l.intBurst()), l.intBurst()
	case a.limit != l:
		a.change(l)
	}
	a.limit = l
	a.trial, a.todo = a.left(), nil
}

// change keeps what was spent. By itself, a rate.Limiter keeps what is left.
func (a *rateAccount) change(l numbers) {
	a.lim.SetLimitAt(a.now, l.rate())
	if more := l.intBurst() - a.burst; more > 0 {
		a.burst = l.intBurst()
		a.lim.SetBurstAt(a.now, a.burst)
		a.lim.AllowN(a.now, -more)
	}
}

func (a *rateAccount) left() float64 {
	return a.lim.TokensAt(a.now) - float64(a.burst-a.limit.intBurst())
}

// wait counts as AllowN does: less than one nanosecond is no wait.
func (a *rateAccount) wait(n int64) time.Duration {
	ns := a.timeOf(float64(n) - a.trial)
	if n == 0 || ns < 1 {
		return 0
	}
	return time.Duration(math.Ceil(ns))
}

func (a *rateAccount) charge(n int64) {
	a.trial -= float64(n)
	a.todo = append(a.todo, int(n))
}

// owe makes room for n tokens before it charges them.
func (a *rateAccount) owe(n int64) {
	a.burst += int(n)
	a.lim.SetBurstAt(a.now, a.burst)
	a.lim.AllowN(a.now, -int(n))
	a.charge(n)
}

func (a *rateAccount) refund(n int64) {
	room := min(n, int64(a.burst))
	a.trial = min(a.trial+float64(room), float64(a.limit.intBurst()))
	a.todo = append(a.todo, -int(room))
}

// all is the charge of all tokens that there are, with any part of a token.
const all = math.MinInt

func (a *rateAccount) chargeUpTo(n int64) {
	switch {
	case a.trial <= 0:
	case float64(n) <= a.trial:
		a.charge(n)
	default:
		a.trial = 0
		a.todo = append(a.todo, all)
	}
}

func (a *rateAccount) commit() error {
	for _, n := range a.todo {
		if n == all {
			a.lim = rate.NewLimiter(a.limit.rate(), a.burst)
			n = a.limit.intBurst()
		}
		if !a.lim.AllowN(a.now, n) {
			return errors.New("storetest: a rate.Limiter denied the tokens that it had")
		}
	}
	a.todo = nil
	return nil
}

func (a *rateAccount) level() (int64, time.Duration) {
	full, left := float64(a.limit.intBurst()), a.left()
	whole := math.Floor(min(max(left, 0)+tokenError, full))
	return int64(whole), time.Duration(math.Ceil(a.timeOf(full - left)))
}

// timeOf returns the nanoseconds that tokens take.
func (a *rateAccount) timeOf(tokens float64) float64 {
	return tokens / float64(a.limit.rate()) * float64(time.Second)
}

func (n numbers) rate() rate.Limit { return rate.Limit(float64(n.count) / n.period.Seconds()) }

func (n numbers) intBurst() int { return int(min(n.burst, math.MaxInt)) }
