package proof

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/store"
)

const burst = 20

// kinds are the operations on the bucket, except Reset, which is rarer.
var kinds = []store.Kind{store.Take, store.Peek, store.Refund}

// call is an operation on the bucket.
type call struct {
	kind store.Kind
	cost int64
}

// answer is the part of a Result that the model predicts.
type answer struct {
	allowed   bool
	remaining int64
}

// model is a bucket of 20 tokens that does not refill. A limit of one token per day does not refill
// within the time of the test either.
var model = porcupine.Model{
	Init: func() any { return int64(burst) },
	Step: func(state, input, output any) (bool, any) {
		left, in, out := state.(int64), input.(call), output.(answer)
		allowed := true
		switch in.kind {
		case store.Refund:
			left = min(left+in.cost, burst)
		case store.Reset:
			left = burst
		default:
			allowed = in.cost <= left
			if allowed && in.kind == store.Take {
				left -= in.cost
			}
		}
		return out == answer{allowed, left}, left
	},
}

// history returns the calls and answers of goroutines that use one bucket of s at the same time.
func history(t *testing.T, s ratelimit.Store, seed uint64) []porcupine.Operation {
	t.Helper()
	limit, err := store.NewLimit("r", 0, 1, 24*time.Hour, burst)
	require.NoError(t, err)
	const goroutines, calls = 6, 30
	histories := make([][]porcupine.Operation, goroutines)
	start := time.Now()
	var all sync.WaitGroup
	for id := range goroutines {
		all.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, uint64(id)))
			for range calls {
				in := call{kinds[rnd.IntN(len(kinds))], rnd.Int64N(5)}
				if rnd.IntN(20) == 0 {
					in = call{kind: store.Reset}
				}
				ops := []store.Op{{Kind: in.kind, Limit: limit, Key: ratelimit.UserKey("a"), Cost: in.cost}}
				begin := time.Since(start).Nanoseconds()
				err := s.Apply(context.Background(), ops)
				if err != nil {
					panic(err)
				}
				histories[id] = append(histories[id], porcupine.Operation{
					ClientId: id, Input: in, Call: begin,
					Output: answer{ops[0].Result.Allowed, ops[0].Result.Remaining},
					Return: time.Since(start).Nanoseconds(),
				})
			}
		})
	}
	all.Wait()
	var whole []porcupine.Operation
	for _, h := range histories {
		whole = append(whole, h...)
	}
	return whole
}

// The answers to concurrent calls on one bucket are possible in some order of the calls.
func TestMemoryStoreIsLinearizable(t *testing.T) {
	for seed := range uint64(20) {
		s := ratelimit.NewMemoryStore(ratelimit.MemoryConfig{})
		result := porcupine.CheckOperationsTimeout(model, history(t, s, seed), 20*time.Second)
		require.Equal(t, porcupine.Ok, result, "seed %d", seed)
	}
}

// forgetful is a store that allows some takes and forgets them.
type forgetful struct {
	*ratelimit.MemoryStore
	mu sync.Mutex
	n  int
}

func (s *forgetful) Apply(ctx context.Context, ops []store.Op) error {
	err := s.MemoryStore.Apply(ctx, ops)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n++; s.n%10 == 0 && ops[0].Kind == store.Take && ops[0].Result.Allowed {
		undo := ops[0]
		undo.Kind = store.Refund
		_ = s.MemoryStore.Apply(ctx, []store.Op{undo})
	}
	return err
}

// The check finds the mistake of a forgetful store, so it can fail.
func TestLostUpdatesAreFound(t *testing.T) {
	s := &forgetful{MemoryStore: ratelimit.NewMemoryStore(ratelimit.MemoryConfig{})}
	result := porcupine.CheckOperationsTimeout(model, history(t, s, 1), 20*time.Second)
	require.Equal(t, porcupine.Illegal, result)
}
