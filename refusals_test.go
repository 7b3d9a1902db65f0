package ratelimit

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

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
	perSecond := refusalLimit(t, "b", 0, "1 per second burst 6")
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
			[][]Op{{take(perSecond, alice, 6)}, {take(perSecond, alice, 3)}},
			2500 * time.Millisecond,
			[]Op{take(perSecond, alice, 3)},
			[]Result{{Remaining: 2, RetryAfter: 500 * time.Millisecond, ResetAfter: 3500 * time.Millisecond}},
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
		{
			"a peek beside what is refused",
			[][]Op{empty, {one[0], {Kind: OpPeek, Limit: second, Key: alice, Cost: 1}}},
			4 * time.Second,
			[]Op{{Kind: OpPeek, Limit: second, Key: alice, Cost: 100}, one[0]},
			[]Result{{Allowed: true, Remaining: 100}, {RetryAfter: 6 * time.Second, ResetAfter: 56 * time.Second}},
		},
		{
			"but not one that finds too little",
			[][]Op{empty, {one[0], {Kind: OpPeek, Limit: second, Key: alice, Cost: 101}}},
			0,
			[]Op{one[0], {Kind: OpPeek, Limit: second, Key: alice, Cost: 101}},
			nil,
		},
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
