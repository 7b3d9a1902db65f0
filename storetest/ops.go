package storetest

import (
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/key"
	"github.com/ratelimit-go/ratelimit/store"
)

const (
	day  = 24 * time.Hour
	year = 365 * day
)

// numbers are the numbers of a limit.
type numbers struct {
	count  int64
	period time.Duration
	burst  int64
}

// per returns the numbers of a limit whose burst is its count.
func per(count int64, period time.Duration) numbers { return numbers{count, period, count} }

func (n numbers) holding(burst int64) numbers { return numbers{n.count, n.period, burst} }

func (n numbers) String() string {
	return fmt.Sprintf("%d per %v, burst %d", n.count, n.period, n.burst)
}

func numbersOf(l *store.Limit) numbers { return numbers{l.Count(), l.Period(), l.Burst()} }

// timeOf returns the time that n tokens take, rounded up.
func timeOf(l *store.Limit, n int64) time.Duration {
	t := new(big.Int).Mul(big.NewInt(n), big.NewInt(int64(l.Period())))
	t.Add(t, big.NewInt(l.Count()-1))
	return time.Duration(t.Div(t, big.NewInt(l.Count())).Int64())
}

// tokensIn returns how many whole tokens flow in within d.
func tokensIn(l *store.Limit, d time.Duration) int64 {
	n := new(big.Int).Mul(big.NewInt(int64(d)), big.NewInt(l.Count()))
	return n.Div(n, big.NewInt(int64(l.Period()))).Int64()
}

func user(id string) store.Key { return key.Text(key.User, id) }

func take(l *store.Limit, k store.Key, n int64) store.Op {
	return store.Op{Kind: store.Take, Limit: l, Key: k, Cost: n}
}

func peek(l *store.Limit, k store.Key, n int64) store.Op {
	return store.Op{Kind: store.Peek, Limit: l, Key: k, Cost: n}
}

func refund(l *store.Limit, k store.Key, n int64) store.Op {
	return store.Op{Kind: store.Refund, Limit: l, Key: k, Cost: n}
}

func reset(l *store.Limit, k store.Key) store.Op {
	return store.Op{Kind: store.Reset, Limit: l, Key: k}
}

func takeUpTo(l *store.Limit, k store.Key, n int64) store.Op {
	return store.Op{Kind: store.TakeUpTo, Limit: l, Key: k, Cost: n}
}

// show returns ops as text, such as "take 2 of login[0] user:alice".
func show(ops []store.Op) string {
	verbs := [...]string{"take", "peek", "refund", "reset", "take up to"}
	parts := make([]string, len(ops))
	for i, op := range ops {
		verb := fmt.Sprintf("kind %d", op.Kind)
		if int(op.Kind) < len(verbs) {
			verb = verbs[op.Kind]
		}
		limit := "no limit"
		if op.Limit != nil {
			limit = fmt.Sprintf("%s[%d] (%v)", op.Limit.Rule(), op.Limit.Index(), numbersOf(op.Limit))
		}
		parts[i] = fmt.Sprintf("%s %d of %s %v", verb, op.Cost, limit, op.Key)
	}
	if len(parts) > 8 {
		parts = append(parts[:8], fmt.Sprintf("and %d more", len(ops)-8))
	}
	return strings.Join(parts, ", ")
}
