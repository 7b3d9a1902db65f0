package storetest

import (
	"context"
	"math/big"
	"time"

	"github.com/ratelimit-go/ratelimit/store"
)

// Exact is a [store.Store] that computes in rational numbers. It rounds nothing except its answers.
// It is slow and forgets nothing: use it to check the answers of other stores. A store that is
// exact to the nanosecond, and reads the same clock, gives the same Results.
//
// The contract does not say at what rate old debts are paid after a change of a limit, nor which op
// makes the change. In an Exact, the first op with the new numbers does, and from then on their
// rate counts.
//
// An Exact is safe for concurrent use. The zero Exact is not usable: call [NewExact].
type Exact struct {
	ledger *ledger
}

var _ store.Store = (*Exact)(nil)

// NewExact returns an empty Exact that reads the time from now. Nil means [time.Now]. An Exact
// treats a reading that is earlier than a previous one as equal to it.
func NewExact(now func() time.Time) *Exact {
	return &Exact{newLedger(now, func() account { return new(exactAccount) })}
}

// Apply implements [store.Store].
func (s *Exact) Apply(ctx context.Context, ops []store.Op) error {
	return s.ledger.apply(ctx, ops)
}

// exactAccount counts the tokens that a bucket lacks. The zero exactAccount is full.
type exactAccount struct {
	limit numbers
	at    time.Time
	spent big.Rat // at the instant at
	trial big.Rat
}

func (a *exactAccount) begin(now time.Time, l numbers) {
	if a.spent.Sign() > 0 {
		a.refill(now.Sub(a.at))
	}
	a.at, a.limit = now, l
	a.trial.Set(&a.spent)
}

func (a *exactAccount) refill(d time.Duration) {
	paid := big.NewRat(a.limit.count, int64(a.limit.period))
	paid.Mul(paid, whole(int64(d)))
	if a.spent.Sub(&a.spent, paid); a.spent.Sign() < 0 {
		a.spent.SetInt64(0)
	}
}

func (a *exactAccount) wait(n int64) time.Duration {
	over := new(big.Rat).Add(&a.trial, whole(n))
	if over.Sub(over, whole(a.limit.burst)); n == 0 || over.Sign() <= 0 {
		return 0
	}
	return a.timeOf(over)
}

func (a *exactAccount) charge(n int64) { a.trial.Add(&a.trial, whole(n)) }

func (a *exactAccount) owe(n int64) { a.charge(n) }

func (a *exactAccount) refund(n int64) {
	if a.trial.Sub(&a.trial, whole(n)); a.trial.Sign() < 0 {
		a.trial.SetInt64(0)
	}
}

// chargeUpTo leaves a debt above the burst, which is of another limit, as it is.
func (a *exactAccount) chargeUpTo(n int64) {
	burst := whole(a.limit.burst)
	if a.trial.Cmp(burst) >= 0 {
		return
	}
	if a.charge(n); a.trial.Cmp(burst) > 0 {
		a.trial.Set(burst)
	}
}

func (a *exactAccount) commit() error {
	a.spent.Set(&a.trial)
	return nil
}

func (a *exactAccount) level() (int64, time.Duration) {
	left := new(big.Rat).Sub(whole(a.limit.burst), &a.spent)
	return max(0, new(big.Int).Div(left.Num(), left.Denom()).Int64()), a.timeOf(&a.spent)
}

// timeOf returns the time that tokens take, rounded up. It fits, because no valid limit takes
// longer than 100 years to fill a bucket.
func (a *exactAccount) timeOf(tokens *big.Rat) time.Duration {
	t := new(big.Rat).Mul(tokens, big.NewRat(int64(a.limit.period), a.limit.count))
	ns, rest := new(big.Int).QuoRem(t.Num(), t.Denom(), new(big.Int))
	if rest.Sign() > 0 {
		ns.Add(ns, big.NewInt(1))
	}
	return time.Duration(ns.Int64())
}

func whole(n int64) *big.Rat { return new(big.Rat).SetInt64(n) }
