package storetest_test

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/storetest"
)

func storageMutants() []mutant {
	return []mutant{
		{"forgets after a period", forgetsAfterPeriod, []string{"forgetting never forgives"}, false},
		{"forgets under load", forgetsUnderLoad, []string{"forgetting never forgives"}, false},
		{"shares buckets between rules", rewrite(func(op *ratelimit.Op) {
			op.Limit = limit("shared", op.Limit.Index(), op.Limit.Limit())
		}), []string{"rules are apart", "ops are not kept"}, false},
		{"shares buckets between the limits of a rule", rewrite(func(op *ratelimit.Op) {
			op.Limit = limit(op.Limit.Rule(), 0, op.Limit.Limit())
		}), []string{"limits of a rule are apart", "a batch of several limits on one key"}, false},
		{"shares buckets between keys", rewrite(func(op *ratelimit.Op) {
			op.Key = ratelimit.UserKey("shared")
		}), []string{"keys are apart", "goroutines on many keys", "a batch of several keys under one limit"}, false},
		{"ends keys at a NUL", rewrite(func(op *ratelimit.Op) {
			b, _ := op.Key.AppendBinary(nil)
			b, _, _ = bytes.Cut(b, []byte{0})
			op.Key = ratelimit.UserKey(string(b))
		}), []string{"keys are apart"}, false},
		{"folds the case of keys", rewrite(func(op *ratelimit.Op) {
			op.Key = ratelimit.UserKey(strings.ToLower(op.Key.String()))
		}), []string{"keys are apart"}, false},
		{"joins rule and key without care", rewrite(func(op *ratelimit.Op) {
			id := fmt.Sprint(op.Limit.Rule(), ":", op.Limit.Index(), ":", strings.TrimPrefix(op.Key.String(), "user:"))
			op.Limit, op.Key = limit("", 0, op.Limit.Limit()), ratelimit.UserKey(id)
		}), []string{"rules are apart"}, false},
		{"has a bucket for each pointer", func(s ratelimit.Store, _ *manual) storeFunc {
			seen := make(map[*ratelimit.NamedLimit]string)
			return rewrite(func(op *ratelimit.Op) {
				if seen[op.Limit] == "" {
					seen[op.Limit] = fmt.Sprint(len(seen) + 1)
				}
				op.Limit = limit(seen[op.Limit], 0, op.Limit.Limit())
			})(s, nil)
		}, []string{"equal limits and keys are one", "what was spent stays spent"}, false},
		{"reads ops later", readsLater, []string{"ops are not kept"}, false},
		{"resets all", resetsAll, []string{"a reset fills one bucket"}, false},
		{"resets no bucket", rewrite(func(op *ratelimit.Op) {
			if op.Kind == ratelimit.OpReset {
				op.Kind, op.Cost = ratelimit.OpCredit, 1
			}
		}), []string{"a batch is evaluated in order"}, false},
		{"starts again when numbers change", rewrite(func(op *ratelimit.Op) {
			l := op.Limit.Limit()
			op.Limit = limit(op.Limit.Rule()+l.String(), op.Limit.Index(), l)
		}), []string{"what was spent stays spent", "what was spent stays spent for each key", "changes mint nothing"}, false},
		{"keeps the first numbers", keepsNumbers, []string{"what was spent stays spent", "a change and back"}, false},
		{"sets no bucket aside for old keys", overflowsOld, []string{"a batch of old and new buckets"}, false},
		{"is slow to forget", isSlow, []string{"a retry of a batch in time is allowed", "random ops agree with rational numbers"}, false},
		{"takes part under contention", partUnderContention, []string{"goroutines on several buckets at once"}, true},
	}
}

type id struct {
	rule  string
	index int
	key   ratelimit.Key
}

func idOf(op ratelimit.Op) id { return id{op.Limit.Rule(), op.Limit.Index(), op.Key} }

// forgetsAfterPeriod has a time to live that knows nothing of the burst.
func forgetsAfterPeriod(s ratelimit.Store, m *manual) storeFunc {
	used := make(map[id]time.Time)
	return func(ctx context.Context, ops []ratelimit.Op) error {
		if ratelimit.CheckOps(ops) != nil {
			return s.Apply(ctx, ops)
		}
		for _, op := range ops {
			if at, ok := used[idOf(op)]; ok && m.Now().Sub(at) > op.Limit.Limit().Period {
				_ = s.Apply(ctx, []ratelimit.Op{{Kind: ratelimit.OpReset, Limit: op.Limit, Key: op.Key}})
			}
			used[idOf(op)] = m.Now()
		}
		return s.Apply(ctx, ops)
	}
}

// forgetsUnderLoad holds 100 buckets, and forgets the oldest.
func forgetsUnderLoad(s ratelimit.Store, _ *manual) storeFunc {
	held := make(map[id]bool)
	var oldest []ratelimit.Op
	return func(ctx context.Context, ops []ratelimit.Op) error {
		if ratelimit.CheckOps(ops) != nil {
			return s.Apply(ctx, ops)
		}
		for _, op := range ops {
			if !held[idOf(op)] {
				held[idOf(op)] = true
				oldest = append(oldest, op)
			}
		}
		for len(oldest) > 100 {
			op := oldest[0]
			_ = s.Apply(ctx, []ratelimit.Op{{Kind: ratelimit.OpReset, Limit: op.Limit, Key: op.Key}})
			delete(held, idOf(op))
			oldest = oldest[1:]
		}
		return s.Apply(ctx, ops)
	}
}

// readsLater charges again what it finds in the ops of the last call.
func readsLater(s ratelimit.Store, _ *manual) storeFunc {
	var last []ratelimit.Op
	return func(ctx context.Context, ops []ratelimit.Op) error {
		for _, op := range last {
			if op.Limit != nil && op.Kind == ratelimit.OpTake {
				_ = s.Apply(ctx, []ratelimit.Op{op})
			}
		}
		last = nil
		if len(ops) == 2 {
			last = ops
		}
		return s.Apply(ctx, ops)
	}
}

func resetsAll(_ ratelimit.Store, m *manual) storeFunc {
	s := storetest.NewExact(m.Now)
	return func(ctx context.Context, ops []ratelimit.Op) error {
		if len(ops) == 1 && ops[0].Kind == ratelimit.OpReset {
			s = storetest.NewExact(m.Now)
		}
		return s.Apply(ctx, ops)
	}
}

func keepsNumbers(s ratelimit.Store, _ *manual) storeFunc {
	first := make(map[string]*ratelimit.NamedLimit)
	return rewrite(func(op *ratelimit.Op) {
		name := fmt.Sprint(op.Limit.Index(), op.Limit.Rule())
		if first[name] == nil {
			first[name] = op.Limit
		}
		op.Limit = first[name]
	})(s, nil)
}

// overflowsOld decides on a shared bucket if a batch has both keys it knows and others.
func overflowsOld(s ratelimit.Store, _ *manual) storeFunc {
	known := make(map[id]bool)
	return func(ctx context.Context, ops []ratelimit.Op) error {
		if ratelimit.CheckOps(ops) != nil {
			return s.Apply(ctx, ops)
		}
		old := 0
		for _, op := range ops {
			if known[idOf(op)] {
				old++
			}
			known[idOf(op)] = true
		}
		if err := s.Apply(ctx, ops); err != nil {
			return err
		}
		for i := range ops {
			ops[i].Result.Overflow = old > 0 && old < len(ops)
		}
		return nil
	}
}

// isSlow has a clock that runs at half the speed.
func isSlow(_ ratelimit.Store, m *manual) storeFunc {
	start := m.Now()
	return storetest.NewExact(func() time.Time { return start.Add(m.Now().Sub(start) / 2) }).Apply
}

// partUnderContention gives back what a refused batch took, as cluster clients do.
func partUnderContention(s ratelimit.Store, _ *manual) storeFunc {
	return func(ctx context.Context, ops []ratelimit.Op) error {
		if err := ratelimit.CheckOps(ops); err != nil || len(ops) < 2 {
			return s.Apply(ctx, ops)
		}
		for i := range ops {
			if err := s.Apply(ctx, ops[i:i+1]); err != nil {
				return err
			}
			runtime.Gosched()
			if refused(ops[i : i+1]) {
				for _, op := range ops[:max(i-1, 0)] { // and misses one
					_ = s.Apply(ctx, []ratelimit.Op{{Kind: ratelimit.OpCredit, Limit: op.Limit, Key: op.Key, Cost: op.Cost}})
				}
				return nil
			}
		}
		return nil
	}
}
