package storetest

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/ratelimit-go/ratelimit/store"
)

// An account is one bucket of a ledger. Its methods change only a trial, until commit keeps the
// outcome. The next begin starts a new trial from what was committed last.
type account interface {
	// begin brings the account up to now, which never goes back, and starts a trial. From now on
	// the account follows the numbers of n.
	begin(now time.Time, n numbers)
	// wait returns how long until the trial has n tokens. It is zero if they are there. The bucket
	// must have room for n.
	wait(n int64) time.Duration
	// charge takes n tokens, for which wait returned zero.
	charge(n int64)
	// chargeUpTo takes n tokens, or all that there are.
	chargeUpTo(n int64)
	// refund puts n tokens back, as far as there is room for them.
	refund(n int64)
	// owe takes n tokens even if there are not as many.
	owe(n int64)
	// commit keeps the outcome of the trial.
	commit() error
	// level returns the whole tokens committed, and the time until the bucket is full.
	level() (int64, time.Duration)
}

// A ledger makes a Store of accounts. It does everything except the arithmetic. Its clock never
// goes back, and it forgets nothing.
type ledger struct {
	mu       sync.Mutex
	clock    func() time.Time
	now      time.Time
	open     func() account // returns a full account
	accounts map[accountID]account
	charged  map[accountID]numbers // by which each account was charged last
}

type accountID struct {
	rule  string
	index int
	key   store.Key
}

func newLedger(clock func() time.Time, open func() account) *ledger {
	if clock == nil {
		clock = time.Now
	}
	return &ledger{
		clock: clock, open: open, accounts: map[accountID]account{}, charged: map[accountID]numbers{},
	}
}

func (l *ledger) apply(ctx context.Context, ops []store.Op) error {
	if err := store.CheckOps(ops); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	accounts, err := l.begin(ops)
	if err != nil {
		return err
	}
	denied := false
	for i := range ops {
		try(&ops[i], accounts[i])
		if ops[i].Kind == store.Take && !ops[i].Result.Allowed {
			denied = true
		}
	}
	for _, a := range accounts {
		if denied {
			break
		}
		if err := a.commit(); err != nil {
			return err
		}
	}
	for i, a := range accounts {
		ops[i].Result.Remaining, ops[i].Result.ResetAfter = a.level()
		if k := ops[i].Kind; !denied && ops[i].Cost > 0 && (k == store.Take || k == store.TakeUpTo) {
			l.charged[idOf(&ops[i])] = numbersOf(ops[i].Limit)
		}
	}
	if denied {
		return nil
	}
	return l.spread(ops)
}

// begin starts a trial of the account of each op, and returns the accounts.
func (l *ledger) begin(ops []store.Op) ([]account, error) {
	if now := l.clock(); now.After(l.now) {
		l.now = now
	}
	accounts := make([]account, len(ops))
	for i := range ops {
		id := idOf(&ops[i])
		if l.accounts[id] == nil {
			l.accounts[id] = l.open()
		}
		accounts[i] = l.accounts[id]
		accounts[i].begin(l.now, numbersOf(ops[i].Limit))
	}
	return accounts, l.carry(ops, accounts)
}

func idOf(op *store.Op) accountID {
	return accountID{op.Limit.Rule(), op.Limit.Index(), op.Key}
}

// try applies op to the trial of a.
func try(op *store.Op, a account) {
	op.Result = store.Result{Allowed: true}
	switch op.Kind {
	case store.Refund:
		a.refund(op.Cost)
		return
	case store.Reset:
		a.refund(math.MaxInt64)
		return
	case store.TakeUpTo:
		a.chargeUpTo(op.Cost)
		return
	}
	if op.Cost > op.Limit.Burst() {
		op.Result = store.Result{ExceedsBurst: true}
		return
	}
	if wait := a.wait(op.Cost); wait > 0 {
		op.Result = store.Result{RetryAfter: wait}
		return
	}
	if op.Kind == store.Take {
		a.charge(op.Cost)
	}
}
