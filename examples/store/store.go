// Package store is an example of a [ratelimit.Store] of one's own: buckets as rows of a table,
// read and written in one transaction. Here the table is a map and the transaction a mutex; in
// a database they would be SELECT ... FOR UPDATE and UPDATE.
//
// Its test is what every Store must pass: package storetest.
package store

import (
	"context"
	"math"
	"math/big"
	"strconv"
	"sync"
	"time"

	"github.com/ratelimit-go/ratelimit"
)

// row is a bucket: the tokens that are missing from it, and when they were counted. The zero
// row is a full bucket.
type row struct {
	spent *big.Rat // exact: a float64 would drift
	at    time.Time
}

// Table is a Store. It forgets nothing: a real one would delete rows that are full again.
type Table struct {
	mu   sync.Mutex
	now  time.Time
	rows map[string]row
}

// New returns an empty Table.
func New() *Table { return &Table{rows: map[string]row{}} }

// id names the row of op.
func id(op *ratelimit.Op) string {
	key, _ := op.Key.AppendBinary(nil) // the error is always nil
	return strconv.Quote(op.Limit.Rule()) + " " + strconv.Itoa(op.Limit.Index()) + " " + string(key)
}

// Apply implements [ratelimit.Store]. It evaluates all ops on copies of their rows, and
// writes the copies if no take was refused.
func (t *Table) Apply(ctx context.Context, ops []ratelimit.Op) error {
	if err := ratelimit.CheckOps(ops); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := time.Now(); now.After(t.now) { // a clock that steps back stands still instead
		t.now = now
	}
	before, after := map[string]row{}, map[string]row{}
	refused := false
	for i := range ops {
		op := &ops[i]
		name := id(op)
		r, seen := after[name]
		if !seen {
			r = t.read(name, op.Limit.Limit())
			before[name] = r
		}
		after[name] = judge(op, r)
		refused = refused || op.Kind == ratelimit.OpTake && !op.Result.Allowed
	}
	if refused {
		after = before // as they were, counted to this instant
	}
	for name, r := range after {
		t.rows[name] = r
	}
	for i := range ops {
		report(&ops[i], after[id(&ops[i])])
	}
	return nil
}

// read returns the row of that name with what has flowed in until now.
func (t *Table) read(name string, l ratelimit.Limit) row {
	r, spent := t.rows[name], new(big.Rat)
	if r.spent != nil {
		back := new(big.Rat).Mul(big.NewRat(l.Count, int64(l.Period)), whole(int64(t.now.Sub(r.at))))
		spent.Sub(r.spent, back)
	}
	if spent.Sign() < 0 {
		spent = new(big.Rat)
	}
	if burst := whole(l.Burst); spent.Cmp(burst) > 0 { // the burst was lowered
		spent = burst
	}
	return row{spent, t.now}
}

// judge fills in the Result of op but for the level, and returns the row as op leaves it.
func judge(op *ratelimit.Op, r row) row {
	l, spent := op.Limit.Limit(), new(big.Rat)
	op.Result = ratelimit.Result{Allowed: true}
	switch op.Kind {
	case ratelimit.OpReset:
		return row{spent, r.at}
	case ratelimit.OpDrain:
		if spent.Add(r.spent, whole(op.Cost)); spent.Cmp(whole(l.Burst)) > 0 {
			spent = whole(l.Burst)
		}
		return row{spent, r.at}
	case ratelimit.OpCredit:
		if spent.Sub(r.spent, whole(op.Cost)); spent.Sign() < 0 {
			spent = new(big.Rat)
		}
		return row{spent, r.at}
	}
	over := spent.Add(r.spent, whole(op.Cost))
	over = new(big.Rat).Sub(over, whole(l.Burst))
	switch {
	case op.Cost == 0:
	case op.Cost > l.Burst:
		op.Result.Allowed, op.Result.Never = false, true
	case over.Sign() > 0:
		op.Result.Allowed, op.Result.RetryAfter = false, timeOf(l, over)
	}
	if !op.Result.Allowed || op.Kind == ratelimit.OpPeek {
		return r
	}
	return row{spent, r.at}
}

// report fills in the level.
func report(op *ratelimit.Op, r row) {
	l := op.Limit.Limit()
	left := new(big.Rat).Sub(whole(l.Burst), r.spent)
	op.Result.Remaining = max(0, new(big.Int).Div(left.Num(), left.Denom()).Int64())
	op.Result.ResetAfter = timeOf(l, r.spent)
}

// timeOf returns the time that so many tokens take, rounded up.
func timeOf(l ratelimit.Limit, tokens *big.Rat) time.Duration {
	ns := new(big.Rat).Mul(tokens, big.NewRat(int64(l.Period), l.Count))
	up := new(big.Int).Add(ns.Num(), new(big.Int).Sub(ns.Denom(), big.NewInt(1)))
	if up.Div(up, ns.Denom()); !up.IsInt64() {
		return math.MaxInt64
	}
	return time.Duration(up.Int64())
}

func whole(n int64) *big.Rat { return big.NewRat(n, 1) }
