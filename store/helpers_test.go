package store_test

import (
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/internal/key"
	"github.com/ratelimit-go/ratelimit/store"
)

const (
	day  = 24 * time.Hour
	year = 365 * day
)

var alice = key.Text(key.User, "alice")

func limit(t testing.TB, count int64, period time.Duration, burst int64) *store.Limit {
	t.Helper()
	l, err := store.NewLimit("r", 0, count, period, burst)
	require.NoError(t, err)
	return l
}

// limits go from one token per year to several per nanosecond.
func limits(t testing.TB) map[string]*store.Limit {
	return map[string]*store.Limit{
		"1 per year":                        limit(t, 1, year, 0),
		"1 per day":                         limit(t, 1, day, 0),
		"7 per 3 seconds":                   limit(t, 7, 3*time.Second, 0),
		"3 per second, burst 1":             limit(t, 3, time.Second, 1),
		"100 per minute":                    limit(t, 100, time.Minute, 0),
		"999983 per day":                    limit(t, 999_983, day, 0),
		"999983 per day, burst 17":          limit(t, 999_983, day, 17),
		"1000000 per second, burst 1000":    limit(t, 1_000_000, time.Second, 1000),
		"5000000000 per second":             limit(t, 5_000_000_000, time.Second, 0),
		"1 per 7 nanoseconds, burst 3":      limit(t, 1, 7, 3),
		"3 per 7 nanoseconds, burst 1000":   limit(t, 3, 7, 1000),
		"1 per minute, burst 50000000":      limit(t, 1, time.Minute, 50_000_000),
		"997 per 991 seconds, burst 89":     limit(t, 997, 991*time.Second, 89),
		"4294967291 per second, burst 2^40": limit(t, 4_294_967_291, time.Second, 1<<40),
	}
}

// An oracle is a token bucket in rational numbers, slow and obvious.
type oracle struct {
	spent *big.Rat // tokens, at the instant at
	at    time.Duration
	token *big.Rat // the nanoseconds that a token takes
	burst *big.Rat
}

func newOracle(l *store.Limit) *oracle {
	return &oracle{spent: new(big.Rat), token: big.NewRat(int64(l.Period()), l.Count()), burst: whole(l.Burst())}
}

func whole(n int64) *big.Rat { return new(big.Rat).SetInt64(n) }

// apply judges op at the instant now, and returns the Result that it should have.
func (o *oracle) apply(op *store.Op, now time.Duration) store.Result {
	o.refund(new(big.Rat).Quo(whole(int64(now-o.at)), o.token))
	o.at = now
	res := store.Result{Allowed: true}
	switch op.Kind {
	case store.Refund:
		o.refund(whole(op.Cost))
	case store.Reset:
		o.spent = new(big.Rat)
	case store.TakeUpTo:
		if o.spent = new(big.Rat).Add(o.spent, whole(op.Cost)); o.spent.Cmp(o.burst) > 0 {
			o.spent = new(big.Rat).Set(o.burst)
		}
	default:
		after := new(big.Rat).Add(o.spent, whole(op.Cost))
		over := new(big.Rat).Sub(after, o.burst)
		switch {
		case whole(op.Cost).Cmp(o.burst) > 0:
			res = store.Result{ExceedsBurst: true}
		case over.Sign() > 0:
			res = store.Result{RetryAfter: o.time(over)}
		case op.Kind == store.Take:
			o.spent = after
		}
	}
	left := new(big.Rat).Sub(o.burst, o.spent)
	res.Remaining = new(big.Int).Div(left.Num(), left.Denom()).Int64()
	res.ResetAfter = o.time(o.spent)
	return res
}

func (o *oracle) refund(n *big.Rat) {
	if o.spent = new(big.Rat).Sub(o.spent, n); o.spent.Sign() < 0 {
		o.spent = new(big.Rat)
	}
}

// time returns the time that tokens take, rounded up.
func (o *oracle) time(tokens *big.Rat) time.Duration {
	ns := new(big.Rat).Mul(tokens, o.token)
	up := new(big.Int).Sub(ns.Denom(), big.NewInt(1))
	up.Add(up, ns.Num())
	return time.Duration(up.Div(up, ns.Denom()).Int64())
}

// apply applies op to b and returns its Result.
func apply(b *store.Bucket, op store.Op, now time.Duration) store.Result {
	b.Apply(&op, now)
	return op.Result
}
