package storetest

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/ratelimit-go/ratelimit"
)

// An account is one bucket of a ledger. What happens to it happens on trial, until
// commit; begin starts again from what was committed last.
type account interface {
	// begin brings the account up to now, which never goes back, lets it go by
	// the numbers of l from then on, and starts a trial.
	begin(now time.Time, l ratelimit.Limit)
	// wait returns how long until there are n tokens on trial, zero if they are
	// there. There must be room for n.
	wait(n int64) time.Duration
	// charge takes n tokens, for which wait returned zero.
	charge(n int64)
	// credit gives n tokens back, as far as there is room for them.
	credit(n int64)
	// drain takes n tokens, or all there are.
	drain(n int64)
	commit() error
	// level returns the whole tokens committed and the time until there is no
	// room for more.
	level() (int64, time.Duration)
}

// A ledger makes a Store of accounts: it holds all of the contract but the
// arithmetic. Its clock never goes back: an earlier reading than one used before
// counts as that one. It forgets nothing.
type ledger struct {
	mu       sync.Mutex
	clock    func() time.Time
	now      time.Time
	open     func() account // returns a full account
	accounts map[accountID]account
}

type accountID struct {
	rule  string
	index int
	key   ratelimit.Key
}

func newLedger(clock func() time.Time, open func() account) *ledger {
	if clock == nil {
		clock = time.Now
	}
	return &ledger{clock: clock, open: open, accounts: make(map[accountID]account)}
}

func (l *ledger) apply(ctx context.Context, ops []ratelimit.Op) error {
	if err := ratelimit.CheckOps(ops); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	accounts := l.begin(ops)
	admitted := true
	for i := range ops {
		try(&ops[i], accounts[i])
		if ops[i].Kind == ratelimit.OpTake && !ops[i].Result.Allowed {
			admitted = false
		}
	}
	for _, a := range accounts {
		if !admitted {
			break
		}
		if err := a.commit(); err != nil {
			return err
		}
	}
	for i, a := range accounts {
		ops[i].Result.Remaining, ops[i].Result.ResetAfter = a.level()
	}
	return nil
}

// begin returns the account of each op, on trial from this instant.
func (l *ledger) begin(ops []ratelimit.Op) []account {
	if now := l.clock(); now.After(l.now) {
		l.now = now
	}
	accounts := make([]account, len(ops))
	for i, op := range ops {
		id := accountID{op.Limit.Rule(), op.Limit.Index(), op.Key}
		if l.accounts[id] == nil {
			l.accounts[id] = l.open()
		}
		accounts[i] = l.accounts[id]
		accounts[i].begin(l.now, op.Limit.Limit())
	}
	return accounts
}

// try does op to a on trial.
func try(op *ratelimit.Op, a account) {
	op.Result = ratelimit.Result{Allowed: true}
	switch op.Kind {
	case ratelimit.OpCredit:
		a.credit(op.Cost)
		return
	case ratelimit.OpReset:
		a.credit(math.MaxInt64)
		return
	case ratelimit.OpDrain:
		a.drain(op.Cost)
		return
	}
	if op.Cost > op.Limit.Limit().Burst {
		op.Result = ratelimit.Result{Never: true}
		return
	}
	if wait := a.wait(op.Cost); wait > 0 {
		op.Result = ratelimit.Result{RetryAfter: wait}
		return
	}
	if op.Kind == ratelimit.OpTake {
		a.charge(op.Cost)
	}
}
