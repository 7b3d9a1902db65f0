package memory

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/internal/testsize"
	"github.com/ratelimit-go/ratelimit/store"
)

// applyBatchOnly is Apply without ApplyKnown.
func applyBatchOnly(s *Store, ops []store.Op) error {
	if err := store.CheckOps(ops); err != nil {
		return err
	}
	s.applyBatch(s.now(), ops)
	return nil
}

// TestBothWaysAgree sends the same random batches to two stores with one clock and one seed. The
// first store decides by ApplyKnown if it can. The second store never does. After each batch all
// Results and both whole states must be equal.
func TestBothWaysAgree(t *testing.T) {
	var sum counts
	seeds := testsize.Of(300, 40)
	for seed := range uint64(seeds) {
		d := newDuel(t, seed)
		for range 200 {
			d.step(t)
		}
		requireSound(t, d.first)
		sum.known += d.known
		sum.denied += d.denied
		sum.batch += d.batch
		sum.overflowed += int(d.first.Stats().Overflowed)
	}
	// The schedules are always the same. They must reach each of these cases often.
	assert.Greater(t, sum.known, seeds*20_000/300)
	assert.Greater(t, sum.denied, seeds*5000/300)
	assert.Greater(t, sum.batch, seeds*20_000/300)
	assert.Greater(t, sum.overflowed, seeds*5000/300)
}

type counts struct {
	known      int // batches that ApplyKnown decided
	denied     int // of these, batches that it denied
	batch      int // batches that it could not decide
	overflowed int // ops without room
}

// A duel is a random schedule for two stores.
type duel struct {
	counts
	rnd           *rand.Rand
	seed          uint64
	first, second *Store
	now           time.Duration
	limits        [][]*store.Limit // by bucket: the numbers that its limit may have
	numbers       []int            // by bucket: the index of the numbers it has now
	wait          time.Duration    // the last RetryAfter
}

func newDuel(t *testing.T, seed uint64) *duel {
	d := &duel{rnd: rand.New(rand.NewPCG(seed, 1)), seed: seed, now: time.Hour}
	clock := func() time.Duration { return d.now }
	maxKeys := 4 + d.rnd.IntN(20)
	d.first, d.second = New(maxKeys, clock), New(maxKeys, clock)
	for i := range d.first.seed {
		d.first.seed[i] = d.rnd.Uint64()
	}
	d.second.seed = d.first.seed
	for i := range 5 {
		rule, index := fmt.Sprint("rule ", i/2), i%2
		d.limits = append(d.limits, []*store.Limit{
			newLimit(t, rule, index, 3, time.Minute, 0),
			newLimit(t, rule, index, 7, time.Second, 20),
			newLimit(t, rule, index, 1, time.Hour, 4),
			newLimit(t, rule, index, 5_000_000_000, time.Second, 10),
			newLimit(t, rule, index, 999_983, day, 50),
		})
	}
	d.numbers = make([]int, len(d.limits))
	for i := range d.numbers {
		d.numbers[i] = d.rnd.IntN(len(d.limits[i]))
	}
	return d
}

// step applies one batch to both stores and compares them.
func (d *duel) step(t *testing.T) {
	t.Helper()
	ops := d.ops()
	want := slices.Clone(ops)
	if simple(ops) && d.first.ApplyKnown(ops, nil) {
		d.known++
		if !allAllowed(ops) {
			d.denied++
		}
	} else {
		d.batch++
		require.NoError(t, d.first.Apply(context.Background(), ops))
	}
	require.NoError(t, applyBatchOnly(d.second, want))
	if first, second := snapshotOf(d.first), snapshotOf(d.second); !slices.Equal(want, ops) || !first.equal(second) {
		t.Logf("seed %d, at %v: %s", d.seed, d.now, describe(ops))
		require.Equal(t, want, ops)
		require.Equal(t, second, first)
	}
	d.wait = ops[len(ops)-1].Result.RetryAfter
	d.advance()
}

// ops returns 1 to 4 random ops on one key, with old Results in them. Now and then two are on the
// same bucket.
func (d *duel) ops() []store.Op {
	k := user(fmt.Sprint(d.rnd.IntN(3)))
	order, twice := d.rnd.Perm(len(d.limits)), d.rnd.IntN(10) == 0
	ops := make([]store.Op, 1+d.rnd.IntN(MaxKnown))
	for i := range ops {
		n := order[i]
		if twice && i > 0 {
			n = order[i-1]
		}
		if d.rnd.IntN(30) == 0 {
			d.numbers[n] = d.rnd.IntN(len(d.limits[n]))
		}
		l := d.limits[n][d.numbers[n]]
		ops[i] = store.Op{Kind: d.kind(), Limit: l, Key: k, Cost: d.cost(l)}
		ops[i].Result = store.Result{
			Allowed: d.rnd.IntN(2) == 0, ExceedsBurst: d.rnd.IntN(2) == 0, Overflow: d.rnd.IntN(2) == 0,
			Remaining: -1, RetryAfter: -1, ResetAfter: -1,
		}
	}
	return ops
}

func (d *duel) kind() store.Kind {
	if d.rnd.IntN(3) > 0 {
		return store.Take
	}
	return store.Kind(d.rnd.IntN(int(store.TakeUpTo) + 1))
}

func (d *duel) cost(l *store.Limit) int64 {
	switch d.rnd.IntN(12) {
	case 0:
		return 0
	case 1:
		return d.rnd.Int64N(l.Burst() + 2)
	case 2:
		return []int64{l.Burst(), l.Burst() + 1, math.MaxInt64}[d.rnd.IntN(3)]
	case 3:
		return 2
	}
	return 1
}

// advance moves the clock: not at all, a little, to the end of the last RetryAfter or just before
// it, by minutes, so that buckets are full and idle, or back.
func (d *duel) advance() {
	switch d.rnd.IntN(20) {
	case 0, 1, 2:
		d.now += time.Duration(d.rnd.Int64N(int64(time.Second)))
	case 3:
		d.now += time.Duration(d.rnd.IntN(3))
	case 4:
		d.now += d.wait
	case 5:
		d.now += max(d.wait, 1) - 1
	case 6:
		d.now += time.Duration(d.rnd.Int64N(int64(5 * time.Minute)))
	case 7:
		d.now -= time.Duration(d.rnd.Int64N(int64(time.Minute)))
	}
}

func allAllowed(ops []store.Op) bool {
	for i := range ops {
		if ops[i].Kind == store.Take && !ops[i].Result.Allowed {
			return false
		}
	}
	return true
}

func describe(ops []store.Op) string {
	text := ops[0].Key.String()
	for i := range ops {
		op := &ops[i]
		text += fmt.Sprintf("; kind %d, %s/%d (%d per %v, burst %d), cost %d",
			op.Kind, op.Limit.Rule(), op.Limit.Index(), op.Limit.Count(), op.Limit.Period(), op.Limit.Burst(), op.Cost)
	}
	return text
}
