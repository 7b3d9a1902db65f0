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
)

const burst = 20

// call is an operation on the bucket, and answer what was said of it.
type call struct {
	kind ratelimit.OpKind
	cost int64
}

type answer struct {
	allowed   bool
	remaining int64
}

// model is a bucket of 20 tokens that does not refill: a limit of one token per day does not,
// as long as the test takes.
var model = porcupine.Model{
	Init: func() any { return int64(burst) },
	Step: func(state, input, output any) (bool, any) {
		left, in, out := state.(int64), input.(call), output.(answer)
		allowed := true
		switch in.kind {
		case ratelimit.OpCredit:
			left = min(left+in.cost, burst)
		case ratelimit.OpReset:
			left = burst
		default:
			allowed = in.cost <= left
			if allowed && in.kind == ratelimit.OpTake {
				left -= in.cost
			}
		}
		return out == answer{allowed, left}, left
	},
}

// history has goroutines use one bucket of store at the same time.
func history(t *testing.T, store ratelimit.Store, seed uint64) []porcupine.Operation {
	limit, err := ratelimit.NameLimit("r", 0, ratelimit.MustParse("1 per day burst 20")[0])
	require.NoError(t, err)
	const goroutines, calls = 6, 30
	histories := make([][]porcupine.Operation, goroutines)
	start := time.Now()
	var all sync.WaitGroup
	for id := range goroutines {
		all.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, uint64(id)))
			for range calls {
				in := call{ratelimit.OpKind(rnd.IntN(3)), rnd.Int64N(5)}
				if rnd.IntN(20) == 0 {
					in = call{kind: ratelimit.OpReset}
				}
				ops := []ratelimit.Op{{Kind: in.kind, Limit: limit, Key: ratelimit.UserKey("a"), Cost: in.cost}}
				begin := time.Since(start).Nanoseconds()
				err := store.Apply(context.Background(), ops)
				if err != nil {
					panic(err)
				}
				histories[id] = append(histories[id], porcupine.Operation{
					ClientId: id, Input: in, Call: begin,
					Output: answer{ops[0].Result.Allowed, ops[0].Result.Remaining}, Return: time.Since(start).Nanoseconds(),
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

// What many goroutines are told about one bucket is what they would be told one after another.
func TestMemoryStoreIsLinearizable(t *testing.T) {
	for seed := range uint64(20) {
		result := porcupine.CheckOperationsTimeout(model, history(t, ratelimit.NewMemoryStore(ratelimit.MemoryConfig{}), seed), 20*time.Second)
		require.Equal(t, porcupine.Ok, result, "seed %d", seed)
	}
}

// forgetful is a store that reports some takes as done and forgets them.
type forgetful struct {
	*ratelimit.MemoryStore
	mu sync.Mutex
	n  int
}

func (s *forgetful) Apply(ctx context.Context, ops []ratelimit.Op) error {
	err := s.MemoryStore.Apply(ctx, ops)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n++; s.n%10 == 0 && ops[0].Kind == ratelimit.OpTake && ops[0].Result.Allowed {
		undo := ops[0]
		undo.Kind = ratelimit.OpCredit
		_ = s.MemoryStore.Apply(ctx, []ratelimit.Op{undo})
	}
	return err
}

// The check can fail.
func TestLostUpdatesAreFound(t *testing.T) {
	store := &forgetful{MemoryStore: ratelimit.NewMemoryStore(ratelimit.MemoryConfig{})}
	require.Equal(t, porcupine.Illegal, porcupine.CheckOperationsTimeout(model, history(t, store, 1), 20*time.Second))
}
