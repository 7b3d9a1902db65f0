package storetest_test

import (
	"context"
	"time"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/storetest"
)

func arithmeticMutants() []mutant {
	return []mutant{
		{"rounds waits down", answer(func(op *ratelimit.Op) {
			if op.Result.RetryAfter > 1 {
				op.Result.RetryAfter--
			}
		}), []string{"a retry in time is allowed", "waits are rounded up", "waits after a change are true"}, false},
		{"rounds waits up to seconds", answer(func(op *ratelimit.Op) {
			op.Result.RetryAfter = (op.Result.RetryAfter + time.Second - 1).Truncate(time.Second)
		}), []string{"a retry in time is allowed", "waits are rounded up"}, false},
		{"says ResetAfter too low", answer(func(op *ratelimit.Op) {
			op.Result.ResetAfter -= op.Result.ResetAfter / 3
		}), []string{"a bucket is full after ResetAfter"}, false},
		{"rounds remaining up", answer(func(op *ratelimit.Op) {
			l := op.Limit.Limit()
			if op.Result.ResetAfter%(l.Period/time.Duration(l.Count)) != 0 {
				op.Result.Remaining = min(op.Result.Remaining+1, l.Burst)
			}
		}), []string{"remaining is rounded down"}, false},
		{"charges one, whatever the cost", rewrite(func(op *ratelimit.Op) {
			op.Cost = min(op.Cost, 1)
		}), []string{"a take charges its cost", "no more than burst and rate"}, false},
		{"charges at least one", rewrite(func(op *ratelimit.Op) {
			op.Cost = max(op.Cost, 1)
		}), []string{"taking nothing"}, false},
		{"wraps huge costs", rewrite(func(op *ratelimit.Op) {
			op.Cost = int64(int32(op.Cost)) & 0x7fffffff
		}), []string{"huge costs do not wrap", "a credit stops at the burst"}, false},
		{"says to wait for what can never be", answer(func(op *ratelimit.Op) {
			if op.Result.Never {
				op.Result.Never, op.Result.RetryAfter = false, op.Limit.Limit().Period
			}
		}), []string{"more than the burst is never"}, false},
		{"does not say why it refuses", answer(func(op *ratelimit.Op) {
			if op.Kind == ratelimit.OpPeek {
				op.Result.RetryAfter = 0
			}
		}), []string{"a peek agrees with a take"}, false},
		{"mints by credit", mintsByCredit, []string{"a credit stops at the burst", "a credit to a new bucket"}, false},
		{"ignores credit to an empty bucket", ignoresCredit, []string{"a credit gives tokens back"}, false},
		{"credits part of a token too much", creditsFull, []string{"a credit and part of a token"}, false},
		{"refuses to drain", answer(func(op *ratelimit.Op) {
			if op.Kind == ratelimit.OpDrain && op.Result.Remaining == 0 {
				op.Result.Allowed, op.Result.RetryAfter = false, 1
			}
		}), []string{"a drain stops at empty"}, false},
		{"drains one", rewrite(func(op *ratelimit.Op) {
			if op.Kind == ratelimit.OpDrain {
				op.Cost = min(op.Cost, 1)
			}
		}), []string{"a drain takes tokens", "a drain in a batch"}, false},
		{"drains nothing of less than a token", drainsWhole, []string{"a drain of part of a token"}, false},
		{"mints when the clock is set back", mintsOnRewind, []string{"a clock set back and forth", "a clock set back mints nothing"}, false},
		{"waits out a clock that was set back", locksOutOnRewind, []string{"a clock set back locks nobody out"}, false},
		{"holds twice the burst", rewrite(func(op *ratelimit.Op) {
			l := op.Limit.Limit()
			op.Limit = limit(op.Limit.Rule(), op.Limit.Index(), ratelimit.Limit{Count: l.Count, Period: l.Period, Burst: l.Burst + 1})
		}), []string{"a new bucket is full", "a bucket does not overflow"}, false},
	}
}

// mintsByCredit keeps what does not fit.
func mintsByCredit(s ratelimit.Store, _ *manual) storeFunc {
	extra := make(map[ratelimit.Key]int64)
	return func(ctx context.Context, ops []ratelimit.Op) error {
		if len(ops) != 1 || ops[0].Cost < 0 {
			return s.Apply(ctx, ops)
		}
		op := &ops[0]
		if op.Kind == ratelimit.OpTake && extra[op.Key] >= op.Cost && op.Cost > 0 {
			extra[op.Key] -= op.Cost
			free := []ratelimit.Op{{Limit: op.Limit, Key: op.Key}}
			err := s.Apply(ctx, free)
			op.Result = free[0].Result
			return err
		}
		err := s.Apply(ctx, ops)
		if op.Kind == ratelimit.OpCredit && err == nil && op.Result.ResetAfter == 0 {
			extra[op.Key] += op.Cost
		}
		return err
	}
}

func ignoresCredit(s ratelimit.Store, _ *manual) storeFunc {
	return func(ctx context.Context, ops []ratelimit.Op) error {
		if len(ops) == 1 && ops[0].Kind == ratelimit.OpCredit && ops[0].Cost > 0 {
			look := []ratelimit.Op{{Kind: ratelimit.OpPeek, Limit: ops[0].Limit, Key: ops[0].Key}}
			if err := s.Apply(ctx, look); err == nil && look[0].Result.Remaining == 0 {
				ops[0].Result = look[0].Result
				return nil
			}
		}
		return s.Apply(ctx, ops)
	}
}

// creditsFull makes a bucket full if less than a token is missing after a credit.
func creditsFull(s ratelimit.Store, _ *manual) storeFunc {
	return answer(func(op *ratelimit.Op) {
		l := op.Limit.Limit()
		if op.Kind == ratelimit.OpCredit && op.Result.ResetAfter < l.Period/time.Duration(l.Count) {
			fill := []ratelimit.Op{{Kind: ratelimit.OpReset, Limit: op.Limit, Key: op.Key}}
			_ = s.Apply(context.Background(), fill)
			op.Result = fill[0].Result
		}
	})(s, nil)
}

// mintsOnRewind counts steps back as steps forward.
func mintsOnRewind(_ ratelimit.Store, m *manual) storeFunc {
	last, now := m.Now(), m.Now()
	return storetest.NewExact(func() time.Time {
		now = now.Add(m.Now().Sub(last).Abs())
		last = m.Now()
		return now
	}).Apply
}

func locksOutOnRewind(s ratelimit.Store, m *manual) storeFunc {
	latest := m.Now()
	return func(ctx context.Context, ops []ratelimit.Op) error {
		if !m.Now().Before(latest) {
			latest = m.Now()
			return s.Apply(ctx, ops)
		}
		if err := s.Apply(ctx, ops); err != nil {
			return err
		}
		for i := range ops {
			ops[i].Result.Allowed, ops[i].Result.RetryAfter = false, latest.Sub(m.Now())
		}
		return nil
	}
}

// drainsWhole leaves what is less than a token.
func drainsWhole(s ratelimit.Store, _ *manual) storeFunc {
	return func(ctx context.Context, ops []ratelimit.Op) error {
		if len(ops) == 1 && ops[0].Kind == ratelimit.OpDrain && ops[0].Cost > 0 {
			ask := []ratelimit.Op{{Kind: ratelimit.OpPeek, Limit: ops[0].Limit, Key: ops[0].Key}}
			if err := s.Apply(ctx, ask); err != nil {
				return err
			}
			if ask[0].Result.Remaining == 0 {
				ops[0].Result = ask[0].Result
				return nil
			}
		}
		return s.Apply(ctx, ops)
	}
}
