package storetest

import (
	"context"
	"math/big"
	"time"

	"github.com/ratelimit-go/ratelimit"
)

// Exact is a [ratelimit.Store] that does the arithmetic of a token bucket in
// rational numbers and rounds nothing but its answers. It is slow and forgets
// nothing: it is what other stores are compared with. A store that reads the same
// clock, and is exact to the nanosecond, gives the same Results.
//
// The contract does not say at what rate old debts are paid once the numbers of a
// limit have changed, nor which op makes the change. Here it is the first op
// with the new numbers, of any kind, and their rate counts from that instant.
//
// An Exact is safe for use by several goroutines, by way of one mutex. The zero
// Exact is not usable: call [NewExact].
type Exact struct {
	ledger *ledger
}

var _ ratelimit.Store = (*Exact)(nil)

// NewExact returns an empty Exact that reads the time from now, or from [time.Now]
// if now is nil. A reading earlier than one before it counts as that one.
func NewExact(now func() time.Time) *Exact {
	return &Exact{newLedger(now, func() account { return new(exactAccount) })}
}

// Apply implements [ratelimit.Store].
func (s *Exact) Apply(ctx context.Context, ops []ratelimit.Op) error {
	return s.ledger.apply(ctx, ops)
}

// exactAccount counts the tokens that are missing. The zero exactAccount is full.
type exactAccount struct {
	limit ratelimit.Limit
	at    time.Time
	spent big.Rat // at the instant at
	trial big.Rat
}

func (a *exactAccount) begin(now time.Time, l ratelimit.Limit) {
	if a.spent.Sign() > 0 {
		a.refill(now.Sub(a.at))
	}
	a.at, a.limit = now, l
	if a.spent.Cmp(whole(l.Burst)) > 0 {
		a.spent.SetInt64(l.Burst)
	}
	a.trial.Set(&a.spent)
}

func (a *exactAccount) refill(d time.Duration) {
	back := big.NewRat(a.limit.Count, int64(a.limit.Period))
	back.Mul(back, whole(int64(d)))
	if a.spent.Sub(&a.spent, back); a.spent.Sign() < 0 {
		a.spent.SetInt64(0)
	}
}

func (a *exactAccount) wait(n int64) time.Duration {
	over := new(big.Rat).Add(&a.trial, whole(n))
	if over.Sub(over, whole(a.limit.Burst)); over.Sign() <= 0 {
		return 0
	}
	return a.timeOf(over)
}

func (a *exactAccount) charge(n int64) { a.trial.Add(&a.trial, whole(n)) }

func (a *exactAccount) credit(n int64) {
	if a.trial.Sub(&a.trial, whole(n)); a.trial.Sign() < 0 {
		a.trial.SetInt64(0)
	}
}

func (a *exactAccount) drain(n int64) {
	if a.charge(n); a.trial.Cmp(whole(a.limit.Burst)) > 0 {
		a.trial.SetInt64(a.limit.Burst)
	}
}

func (a *exactAccount) commit() error {
	a.spent.Set(&a.trial)
	return nil
}

func (a *exactAccount) level() (int64, time.Duration) {
	left := new(big.Rat).Sub(whole(a.limit.Burst), &a.spent)
	return new(big.Int).Div(left.Num(), left.Denom()).Int64(), a.timeOf(&a.spent)
}

// timeOf returns the time that so many tokens take, rounded up. It fits: no valid
// limit takes longer than 100 years to fill.
func (a *exactAccount) timeOf(tokens *big.Rat) time.Duration {
	t := new(big.Rat).Mul(tokens, big.NewRat(int64(a.limit.Period), a.limit.Count))
	ns, rest := new(big.Int).QuoRem(t.Num(), t.Denom(), new(big.Int))
	if rest.Sign() > 0 {
		ns.Add(ns, big.NewInt(1))
	}
	return time.Duration(ns.Int64())
}

func whole(n int64) *big.Rat { return new(big.Rat).SetInt64(n) }
