package ratelimit

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// frontStore is a MemoryStore with a memory of refusals in front, and a clock that goes on
// by before until it decides and by after until its answer is here.
type frontStore struct {
	*MemoryStore
	m             *refusals
	time          time.Duration
	before, after time.Duration
	decided       func() // called when the store behind decides
	trips, hits   int
}

func newFrontStore() *frontStore {
	f := &frontStore{m: newRefusals(1024), time: time.Hour}
	f.MemoryStore = NewClockStore(0, func() time.Duration { return f.time })
	return f
}

func (f *frontStore) Apply(ctx context.Context, ops []Op) error {
	since, refused := f.m.answer(int64(f.time), ops)
	if refused {
		f.hits++
		return nil
	}
	f.trips++
	f.time += f.before
	err := f.MemoryStore.Apply(ctx, ops)
	if f.decided != nil {
		f.decided()
	}
	f.time += f.after
	f.m.learn(int64(f.time), since, ops, err != nil)
	return err
}

func (f *frontStore) do(t testing.TB, ops ...Op) []Result {
	t.Helper()
	require.NoError(t, f.Apply(context.Background(), ops))
	results := make([]Result, len(ops))
	for i := range ops {
		results[i] = ops[i].Result
	}
	return results
}

func refusalLimit(t testing.TB, rule string, index int, text string) *NamedLimit {
	t.Helper()
	l, err := NameLimit(rule, index, MustParse(text)[0])
	require.NoError(t, err)
	return l
}

func TestRefusalsAnswer(t *testing.T) {
	perMinute := refusalLimit(t, "a", 0, "6 per minute")
	other := refusalLimit(t, "a", 0, "7 per minute")
	slower := refusalLimit(t, "a", 0, "6 per hour")
	second := refusalLimit(t, "a", 1, "100 per hour")
	thirds := refusalLimit(t, "a", 2, "3 per second")
	alice, bob := UserKey("alice"), UserKey("bob")
	take := func(l *NamedLimit, k Key, cost int64) Op { return Op{Limit: l, Key: k, Cost: cost} }
	kind := func(kind OpKind, cost int64) Op { return Op{Kind: kind, Limit: perMinute, Key: alice, Cost: cost} }
	empty := []Op{take(perMinute, alice, 6)}
	one := []Op{take(perMinute, alice, 1)}
	both := []Op{take(perMinute, alice, 1), take(second, alice, 1)}
	for _, tc := range []struct {
		name  string
		setup [][]Op
		wait  time.Duration
		ask   []Op
		want  []Result // nil if the store is to be asked
	}{
		{"nothing is known of a stranger", [][]Op{empty, one}, 0, []Op{take(perMinute, bob, 1)}, nil},
		{"the same cost", [][]Op{empty, one}, 4 * time.Second, one, []Result{{RetryAfter: 6 * time.Second, ResetAfter: 56 * time.Second}}},
		{"until the wait is over", [][]Op{empty, one}, 10*time.Second - 1, one, []Result{{RetryAfter: 1, ResetAfter: 50*time.Second + 1}}},
		{"no longer", [][]Op{empty, one}, 10 * time.Second, one, nil},
		{
			"a larger cost waits longer",
			[][]Op{empty, one},
			4 * time.Second,
			[]Op{take(perMinute, alice, 3)},
			[]Result{{RetryAfter: 26 * time.Second, ResetAfter: 56 * time.Second}},
		},
		{
			"a cost above the burst never passes",
			[][]Op{empty, one},
			4 * time.Second,
			[]Op{take(perMinute, alice, 7)},
			[]Result{{Never: true, ResetAfter: 56 * time.Second}},
		},
		{"a smaller cost is not known to be refused", [][]Op{empty, {take(perMinute, alice, 2)}}, 0, one, nil},
		{
			"whole tokens come back",
			[][]Op{empty, {take(perMinute, alice, 3)}},
			25 * time.Second,
			[]Op{take(perMinute, alice, 3)},
			[]Result{{Remaining: 2, RetryAfter: 5 * time.Second, ResetAfter: 35 * time.Second}},
		},
		{
			"the batch that was refused",
			[][]Op{empty, both},
			4 * time.Second, both,
			[]Result{{RetryAfter: 6 * time.Second, ResetAfter: 56 * time.Second}, {Allowed: true, Remaining: 100}},
		},
		{
			"in another order",
			[][]Op{empty, both},
			4 * time.Second,
			[]Op{both[1], both[0]},
			[]Result{{Allowed: true, Remaining: 100}, {RetryAfter: 6 * time.Second, ResetAfter: 56 * time.Second}},
		},
		{"a part of it", [][]Op{empty, both}, 0, one, []Result{{RetryAfter: 10 * time.Second, ResetAfter: time.Minute}}},
		{"the part that was allowed", [][]Op{empty, both}, 0, []Op{both[1]}, nil},
		{"with a bucket nothing is known of", [][]Op{empty, one}, 0, both, nil},
		{
			"the level of another bucket is kept up to date",
			[][]Op{empty, both, {take(second, alice, 10)}},
			0, both,
			[]Result{{RetryAfter: 10 * time.Second, ResetAfter: time.Minute}, {Allowed: true, Remaining: 90, ResetAfter: 6 * time.Minute}},
		},
		{
			"a smaller take goes on and is counted",
			[][]Op{{take(perMinute, alice, 4)}, {take(perMinute, alice, 3)}, one},
			0,
			[]Op{take(perMinute, alice, 3)},
			[]Result{{Remaining: 1, RetryAfter: 20 * time.Second, ResetAfter: 50 * time.Second}},
		},
		{
			"the level of another bucket to the fraction of a nanosecond",
			[][]Op{empty, {take(thirds, alice, 1)}, {one[0], take(thirds, alice, 2)}},
			0,
			[]Op{one[0], take(thirds, alice, 2)},
			[]Result{{RetryAfter: 10 * time.Second, ResetAfter: time.Minute}, {Allowed: true, Remaining: 2, ResetAfter: 333333334}},
		},
		{"two ops on one bucket", [][]Op{empty, one}, 0, []Op{one[0], one[0]}, nil},
		{"refused only because asked twice", [][]Op{{take(perMinute, alice, 2)}, {take(perMinute, alice, 3), take(perMinute, alice, 3)}}, 0, []Op{take(perMinute, alice, 3)}, nil},
		{"a peek asks the store", [][]Op{empty, one}, 0, []Op{kind(OpPeek, 1)}, nil},
		{"and does not forget", [][]Op{empty, one, {kind(OpPeek, 1)}}, 0, one, []Result{{RetryAfter: 10 * time.Second, ResetAfter: time.Minute}}},
		{"nor refuses itself", [][]Op{empty, {kind(OpPeek, 1)}}, 0, one, nil},
		{"a credit forgets", [][]Op{empty, one, {kind(OpCredit, 1)}}, 0, one, nil},
		{"a reset forgets", [][]Op{empty, one, {kind(OpReset, 0)}}, 0, one, nil},
		{"a batch with a credit asks the store", [][]Op{empty, one}, 0, []Op{one[0], {Kind: OpCredit, Limit: second, Key: alice, Cost: 1}}, nil},
		{"another rate asks the store", [][]Op{empty, one}, 0, []Op{take(slower, alice, 1)}, nil},
		{"other numbers ask the store", [][]Op{empty, one}, 0, []Op{take(other, alice, 1)}, nil},

		{"and forget the old ones", [][]Op{empty, one, {take(other, alice, 1)}}, 0, one, nil},
		{
			"never is repeated for a second",
			[][]Op{{take(perMinute, alice, 7)}},
			time.Second - 1,
			[]Op{take(perMinute, alice, 8)},
			[]Result{{Never: true, Remaining: 6}},
		},
		{"and no longer", [][]Op{{take(perMinute, alice, 7)}}, time.Second, []Op{take(perMinute, alice, 8)}, nil},
		{"never says nothing of what may pass", [][]Op{{take(perMinute, alice, 7)}}, 0, one, nil},
		{"an empty batch", [][]Op{empty, one}, 0, nil, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFrontStore()
			for _, ops := range tc.setup {
				f.do(t, append([]Op(nil), ops...)...)
			}
			f.time += tc.wait
			trips := f.trips
			got := f.do(t, append([]Op(nil), tc.ask...)...)
			if tc.want == nil {
				assert.Equal(t, trips+1, f.trips, "the store must be asked")
				return
			}
			assert.Equal(t, trips, f.trips, "the store must not be asked")
			assert.Equal(t, tc.want, got)
		})
	}
}

// The wait starts before the store was asked, and what is told of it after it answered.
func TestRefusalsErrOnTheSafeSide(t *testing.T) {
	f := newFrontStore()
	f.before, f.after = 3*time.Millisecond, 4*time.Millisecond
	op := Op{Limit: refusalLimit(t, "a", 0, "1 per second"), Key: UserKey("a"), Cost: 1}
	f.do(t, op)
	begun := f.time
	require.Equal(t, time.Second-7*time.Millisecond, f.do(t, op)[0].RetryAfter)
	until := begun + time.Second - 7*time.Millisecond // had the store decided at once
	f.time = until - 1
	assert.Equal(t, 7*time.Millisecond+1, f.do(t, op)[0].RetryAfter)
	assert.Equal(t, 1, f.hits)
	f.time = until
	f.before, f.after = 0, 0
	assert.Equal(t, 3*time.Millisecond, f.do(t, op)[0].RetryAfter, "the store's word, which is closer")
	assert.Equal(t, 1, f.hits)
}

// A refusal that a credit overtakes is not remembered, although it is learned after.
func TestRefusalsOvertakenByCredit(t *testing.T) {
	l := refusalLimit(t, "a", 0, "1 per hour")
	for _, kind := range []OpKind{OpCredit, OpReset} {
		f := newFrontStore()
		op := Op{Limit: l, Key: UserKey("a"), Cost: 1}
		f.do(t, op)
		f.decided = func() {
			f.decided = nil
			f.do(t, Op{Kind: kind, Limit: l, Key: UserKey("a"), Cost: 1})
		}
		require.False(t, f.do(t, op)[0].Allowed)
		assert.True(t, f.do(t, op)[0].Allowed)
		require.False(t, f.do(t, op)[0].Allowed)
		require.False(t, f.do(t, op)[0].Allowed)
		assert.Equal(t, 1, f.hits, "the next refusal is remembered again")
	}
}

func TestRefusalsFailures(t *testing.T) {
	l := refusalLimit(t, "a", 0, "1 per hour")
	op := Op{Limit: l, Key: UserKey("a"), Cost: 1}
	refused := op
	refused.Result = Result{RetryAfter: time.Hour, ResetAfter: time.Hour}
	hit := func(m *refusals) bool {
		_, hit := m.answer(100, []Op{op})
		return hit
	}
	learn := func(m *refusals, op Op, failed bool) { m.learn(100, asked{100, m.epoch.Load()}, []Op{op}, failed) }

	t.Run("a refusal that was no answer is not remembered", func(t *testing.T) {
		m := newRefusals(8)
		learn(m, refused, true)
		assert.False(t, hit(m))
	})
	t.Run("a take that failed does not forget, a credit that failed does", func(t *testing.T) {
		m := newRefusals(8)
		learn(m, refused, false)
		learn(m, op, true)
		assert.True(t, hit(m))
		learn(m, Op{Kind: OpCredit, Limit: l, Key: op.Key, Cost: 1}, true)
		assert.False(t, hit(m))
	})
	t.Run("what makes no sense is forgotten and does not panic", func(t *testing.T) {
		for _, res := range []Result{
			{RetryAfter: time.Hour, ResetAfter: time.Hour, Overflow: true},
			{RetryAfter: time.Hour, ResetAfter: 2 * time.Hour},
			{RetryAfter: time.Hour, ResetAfter: time.Minute},
			{RetryAfter: time.Hour, ResetAfter: time.Hour, Remaining: 1},
			{RetryAfter: time.Hour, ResetAfter: time.Hour, Remaining: 2},
			{RetryAfter: time.Hour, ResetAfter: time.Hour, Remaining: -1},
			{RetryAfter: -time.Hour, ResetAfter: time.Hour},
			{RetryAfter: time.Hour, ResetAfter: -time.Hour},
			{RetryAfter: math.MaxInt64, ResetAfter: math.MaxInt64},
			{RetryAfter: time.Hour, ResetAfter: time.Hour, Allowed: true},
			{},
		} {
			m := newRefusals(8)
			learn(m, refused, false)
			require.True(t, hit(m))
			bad := op
			bad.Result = res
			learn(m, bad, false)
			assert.False(t, hit(m) && !res.Allowed, "%+v", res)
		}
	})
	t.Run("waits rounded to milliseconds are made exact where the level tells", func(t *testing.T) {
		m := newRefusals(8)
		l := refusalLimit(t, "b", 0, "3 per second")
		rounded := Op{Limit: l, Key: op.Key, Cost: 1, Result: Result{RetryAfter: 334e6, ResetAfter: 1000e6}}
		learn(m, rounded, false)
		ops := []Op{{Limit: l, Key: op.Key, Cost: 1}}
		_, refused := m.answer(100, ops)
		require.True(t, refused)
		assert.Equal(t, Result{RetryAfter: 333333334, ResetAfter: 1e9}, ops[0].Result)
	})
	t.Run("ops that are not valid are the store's to name", func(t *testing.T) {
		m := newRefusals(8)
		learn(m, refused, false)
		for _, bad := range []Op{{Key: op.Key, Cost: 1}, {Limit: l, Cost: 1}, {Limit: l, Key: op.Key, Cost: -1}, {Kind: 9, Limit: l, Key: op.Key}} {
			since, hit := m.answer(100, []Op{bad})
			assert.False(t, hit)
			m.learn(100, since, []Op{bad}, true)
			m.learn(100, since, []Op{bad}, false)
			bad.Kind = OpCredit
			m.learn(100, since, []Op{bad, bad}, true)
		}
	})
	t.Run("none remembers nothing", func(t *testing.T) {
		m := newRefusals(0)
		require.Nil(t, m)
		_, hit := m.answer(100, []Op{refused})
		assert.False(t, hit)
		m.learn(100, asked{}, []Op{refused}, false)
	})
}

// For the cost that was refused, and for as long as nothing else happens, every answer is
// that of the store, to the nanosecond.
func TestRefusalsAreExactToTheNanosecond(t *testing.T) {
	for _, text := range []string{"3 per second", "7 per 11 seconds burst 5", "999983 per day burst 17", "100 per minute", "7 per 10 nanoseconds burst 100"} {
		rnd := rand.New(rand.NewPCG(5, 6))
		l := refusalLimit(t, "a", 0, text)
		for cost := int64(1); cost <= 3; cost++ {
			f := newFrontStore()
			twin := NewClockStore(0, func() time.Duration { return f.time })
			op := Op{Limit: l, Key: UserKey("a"), Cost: cost}
			for allowed := true; allowed; {
				require.NoError(t, twin.Apply(context.Background(), []Op{op}))
				allowed = f.do(t, op)[0].Allowed
				f.time += time.Duration(rnd.Int64N(int64(l.one.ceil())/2 + 1))
			}
			for step := range 500 {
				want := []Op{op}
				require.NoError(t, twin.Apply(context.Background(), want))
				res := want[0].Result
				hits := f.hits
				got := f.do(t, op)[0]
				require.Equal(t, res.Allowed, got.Allowed, "%s: step %d", text, step)
				require.Equal(t, res.RetryAfter, got.RetryAfter, "%s: step %d", text, step)
				require.Equal(t, res.ResetAfter, got.ResetAfter, "%s: step %d", text, step)
				if hits == f.hits {
					require.Equal(t, res.Remaining, got.Remaining, "%s: step %d", text, step)
				} else {
					require.LessOrEqual(t, got.Remaining, res.Remaining, "%s: step %d", text, step)
					require.GreaterOrEqual(t, got.Remaining, remainingBefore(twin, &op, f.time, 1), "%s: step %d", text, step)
				}
				f.time += []time.Duration{0, 1, res.RetryAfter / 3, max(res.RetryAfter-1, 0), res.RetryAfter}[rnd.IntN(5)]
			}
			assert.Greater(t, f.hits, 100, text)
		}
	}
}

func numberedKey(i int) Key {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(i))
	return NamedKey("n", string(b[:]))
}

func TestRefusalsAreBounded(t *testing.T) {
	const keys = 1_000_000
	m := newRefusals(defaultRefusals)
	assert.LessOrEqual(t, len(m.sets)*int(unsafe.Sizeof(refusalSet{})), 6<<20, "bytes")
	l := refusalLimit(t, "a", 0, "1 per hour")
	flood := func(now int64, from, to int) {
		ops := []Op{{Limit: l, Cost: 1, Result: Result{RetryAfter: time.Hour, ResetAfter: time.Hour}}}
		for i := from; i < to; i++ {
			ops[0].Key = numberedKey(i)
			m.learn(now, asked{at: now}, ops, false)
		}
	}
	known := func(now int64, from, to int) int {
		n := 0
		for i := from; i < to; i++ {
			if _, hit := m.answer(now, []Op{{Limit: l, Key: numberedKey(i), Cost: 1}}); hit {
				n++
			}
		}
		return n
	}
	flood(0, 0, defaultRefusals)
	first := known(0, 0, defaultRefusals)
	assert.Greater(t, first, defaultRefusals*6/7*98/100, "of as many keys as places")
	flood(0, defaultRefusals, keys)
	assert.Equal(t, first, known(0, 0, defaultRefusals), "others do not push out what is known")
	assert.Zero(t, known(0, keys-1000, keys), "all places are taken")
	flood(int64(time.Hour), keys, keys+defaultRefusals)
	assert.Greater(t, known(int64(time.Hour), keys, keys+defaultRefusals), defaultRefusals*6/7*98/100, "what is over makes room")
	assert.Zero(t, known(int64(time.Hour), 0, defaultRefusals))
}

// The limits of one key are spread, so that there is room for any number of them.
func TestRefusalsOfManyLimits(t *testing.T) {
	m, ops := refusedBatch(t, 3*setSize)
	_, hit := m.answer(2, ops)
	assert.True(t, hit)
}

func TestRefusalsAllocateNothing(t *testing.T) {
	m, ops := refusedBatch(t, 3)
	hits, n := 0, int64(1)
	assert.Zero(t, testing.AllocsPerRun(1000, func() {
		if _, hit := m.answer(n, ops); hit {
			hits++
		}
	}), "a hit")
	assert.Equal(t, 1001, hits)
	assert.Zero(t, testing.AllocsPerRun(1000, func() {
		n += int64(time.Hour)
		since, _ := m.answer(n, ops)
		for i := range ops {
			ops[i].Result = Result{RetryAfter: time.Hour, ResetAfter: time.Hour}
		}
		m.learn(n, since, ops, false)
	}), "a refusal learned")
}

// refusedBatch returns a batch of n limits on one key, the first of which has refused it,
// and the memory of that.
func refusedBatch(t testing.TB, n int) (*refusals, []Op) {
	t.Helper()
	m := newRefusals(defaultRefusals)
	ops := make([]Op, n)
	for i := range ops {
		ops[i] = Op{Limit: refusalLimit(t, "a", i, "1 per hour"), Key: UserKey("alice"), Cost: 1}
		ops[i].Result = Result{RetryAfter: time.Hour, ResetAfter: time.Hour}
	}
	m.learn(1, asked{at: 1}, ops, false)
	return m, ops
}

// Through a flood of takes, whoever has called Reset finds the bucket full: nothing that
// was refused before outlives it. Nobody gets more than the resets allow.
func TestRefusalsUnderLoad(t *testing.T) {
	m, s := newRefusals(64), NewMemoryStore(MemoryConfig{})
	l := refusalLimit(t, "a", 0, "1 per hour")
	start := time.Now()
	apply := func(op Op) Result {
		ops := []Op{op}
		since, hit := m.answer(int64(time.Since(start)), ops)
		if hit {
			runtime.Gosched()
			return ops[0].Result
		}
		err := s.Apply(context.Background(), ops)
		runtime.Gosched() // the trip back
		m.learn(int64(time.Since(start)), since, ops, err != nil)
		return ops[0].Result
	}
	key := UserKey("alice")
	var admitted atomic.Int64
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				if apply(Op{Limit: l, Key: key, Cost: 1}).Allowed {
					admitted.Add(1)
				}
			}
		})
	}
	const resets = 500
	var stuck error
	for i := range int64(resets) {
		deadline := time.Now().Add(5 * time.Second)
		for admitted.Load() <= i && stuck == nil {
			if runtime.Gosched(); time.Now().After(deadline) {
				stuck = errors.New("nobody was admitted after a reset")
			}
		}
		apply(Op{Kind: OpReset, Limit: l, Key: key})
	}
	stop()
	wg.Wait()
	require.NoError(t, stuck)
	assert.LessOrEqual(t, admitted.Load(), int64(resets+1))
}

func benchRefused(b *testing.B, limits int) {
	m, ops := refusedBatch(b, limits)
	b.ReportAllocs()
	for b.Loop() {
		if _, hit := m.answer(2, ops); !hit {
			b.Fatal("not refused")
		}
	}
}

func BenchmarkRefusalsHit(b *testing.B)      { benchRefused(b, 1) }
func BenchmarkRefusalsHitThree(b *testing.B) { benchRefused(b, 3) }

func BenchmarkRefusalsMiss(b *testing.B) {
	m, ops := refusedBatch(b, 1)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		ops[0].Key.mid = uint64(i)
		m.answer(2, ops)
	}
}

func BenchmarkRefusalsHitManyKeys(b *testing.B) {
	m, ops := refusedBatch(b, 1)
	for i := range defaultRefusals / 2 {
		ops[0].Key = numberedKey(i)
		m.learn(1, asked{at: 1}, ops, false)
	}
	b.RunParallel(func(pb *testing.PB) {
		rnd, ops := rand.New(rand.NewPCG(1, 2)), append([]Op(nil), ops...)
		for pb.Next() {
			ops[0].Key = numberedKey(rnd.IntN(defaultRefusals / 2))
			m.answer(2, ops)
		}
	})
}
