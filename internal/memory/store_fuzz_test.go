package memory

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/store"
)

// maxFuzz bounds the input in bytes. Longer input says nothing new. go test would take up to a
// minute to shorten each such input.
const maxFuzz = 128

// FuzzDecision runs batches of ops, four bytes each, on a small store. Every answer keeps its
// bounds. A denied batch leaves all levels as they were. An odd length changes the numbers of the
// limits on the way: a Peek under a raised limit is then enough to pay debts back faster.
func FuzzDecision(f *testing.F) {
	limits := []*store.Limit{ // three numbers for each of two limits
		newLimit(f, "r", 0, 3, time.Minute, 0),
		newLimit(f, "r", 1, 5_000_000_000, time.Second, 0),
		newLimit(f, "r", 0, 1, year, 0),
		newLimit(f, "r", 1, 3, 7, 1000),
		newLimit(f, "r", 0, 7, day, 2),
		newLimit(f, "r", 1, 1_000_000, time.Second, 1_000_000_000),
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > maxFuzz {
			t.Skip()
		}
		numbers := byte(2)
		if len(script)%2 == 1 {
			numbers = 6
		}
		s, now := newStore(3)
		*now = time.Hour
		var ops []store.Op
		for ; len(script) >= 4; script = script[4:] {
			kind, who, cost, then := script[0], script[1], script[2], script[3]
			ops = append(ops, store.Op{
				Kind:  store.Kind(kind % 5),
				Limit: limits[who%numbers],
				Key:   user(strconv.Itoa(int(who / 6 % 5))),
				Cost:  int64(int8(cost)) << (kind / 5 % 32),
			})
			if then%4 != 0 && len(script) >= 8 {
				continue // the next op is in the same batch
			}
			requireBatch(t, s, ops, numbers == 2)
			ops = ops[:0]
			if step := time.Duration(1) << (then / 4 % 57); then%8 == 0 {
				*now += step // at most 2 years
			} else {
				*now = max(0, *now-step)
			}
		}
	})
}

// requireBatch applies ops. If exactly is true, a batch that is denied must change no level.
func requireBatch(t *testing.T, s *Store, ops []store.Op, exactly bool) {
	t.Helper()
	before := levels(t, s, ops)
	err := s.Apply(t.Context(), ops)
	denied := err != nil
	if err != nil {
		require.ErrorIs(t, err, store.ErrInvalidOp)
		require.Error(t, store.CheckOps(ops))
	}
	for i := range ops {
		op, res := &ops[i], &ops[i].Result
		if err == nil {
			require.True(t, res.Remaining >= 0 && res.Remaining <= op.Limit.Burst(), "%+v", op)
			require.GreaterOrEqual(t, res.ResetAfter, time.Duration(0))
			require.Equal(t, !res.Allowed && !res.ExceedsBurst, res.RetryAfter > 0, "%+v", op)
			require.False(t, res.Allowed && res.ExceedsBurst, "%+v", op)
			denied = denied || op.Kind == store.Take && !res.Allowed
		}
	}
	if denied && exactly {
		for i, after := range levels(t, s, ops) {
			if before[i].Overflow && !after.Overflow {
				continue // Apply has removed a full bucket, so there is room
			}
			require.Equal(t, before[i], after, "%+v", ops[i])
		}
	}
	requireSound(t, s)
}

// levels peeks at the buckets of ops.
func levels(t *testing.T, s *Store, ops []store.Op) []store.Result {
	t.Helper()
	var all []store.Result
	for _, op := range ops {
		peek := apply(t, s, store.Op{Kind: store.Peek, Limit: op.Limit, Key: op.Key, Cost: 1})
		all = append(all, peek[0].Result)
	}
	return all
}
