package guard

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/internal/memory"
	"github.com/ratelimit-go/ratelimit/internal/pace"
	"github.com/ratelimit-go/ratelimit/store"
)

// front is a store in memory with a memory of denials in front of it. Its clock goes on by before
// until the store decides, and by after until the answer arrives.
type front struct {
	behind        *memory.Store
	m             *denials
	time          time.Duration
	before, after time.Duration
	decided       func() // called when the store decides
	trips, hits   int
}

func newFront() *front {
	f := &front{m: newDenials(1024), time: time.Hour}
	f.behind = newMemory(func() time.Duration { return f.time })
	return f
}

func (f *front) Apply(ctx context.Context, ops []store.Op) error {
	began, denied := f.m.answer(f.time, ops)
	if denied {
		f.hits++
		return nil
	}
	f.trips++
	f.time += f.before
	err := f.behind.Apply(ctx, ops)
	if f.decided != nil {
		f.decided()
	}
	f.time += f.after
	f.m.learn(f.time, began, ops, err != nil)
	return err
}

func (f *front) do(t testing.TB, ops ...store.Op) []store.Result {
	t.Helper()
	require.NoError(t, f.Apply(context.Background(), ops))
	results := make([]store.Result, len(ops))
	for i := range ops {
		results[i] = ops[i].Result
	}
	return results
}

func TestDenialsAnswer(t *testing.T) {
	perMinute := newLimit(t, "a", 0, 6, time.Minute, 0)
	other := newLimit(t, "a", 0, 7, time.Minute, 0)
	slower := newLimit(t, "a", 0, 6, time.Hour, 0)
	second := newLimit(t, "a", 1, 100, time.Hour, 0)
	perSecond := newLimit(t, "b", 0, 1, time.Second, 6)
	thirds := newLimit(t, "a", 2, 3, time.Second, 0)
	alice, bob := user("alice"), user("bob")
	kind := func(kind store.Kind, cost int64) store.Op {
		return store.Op{Kind: kind, Limit: perMinute, Key: alice, Cost: cost}
	}
	peek := func(l *store.Limit, cost int64) store.Op {
		return store.Op{Kind: store.Peek, Limit: l, Key: alice, Cost: cost}
	}
	empty := []store.Op{take(perMinute, alice, 6)}
	one := []store.Op{take(perMinute, alice, 1)}
	both := []store.Op{take(perMinute, alice, 1), take(second, alice, 1)}
	for _, tc := range []struct {
		name  string
		setup [][]store.Op
		wait  time.Duration
		ops   []store.Op
		want  []store.Result // nil if the store must be called
	}{
		{"nothing is known about a stranger", [][]store.Op{empty, one}, 0, []store.Op{take(perMinute, bob, 1)}, nil},
		{
			"the same cost",
			[][]store.Op{empty, one},
			4 * time.Second, one,
			[]store.Result{{RetryAfter: 6 * time.Second, ResetAfter: 56 * time.Second}},
		},
		{
			"until the wait is over",
			[][]store.Op{empty, one},
			10*time.Second - 1, one,
			[]store.Result{{RetryAfter: 1, ResetAfter: 50*time.Second + 1}},
		},
		{"no longer", [][]store.Op{empty, one}, 10 * time.Second, one, nil},
		{
			"a larger cost waits longer",
			[][]store.Op{empty, one},
			4 * time.Second,
			[]store.Op{take(perMinute, alice, 3)},
			[]store.Result{{RetryAfter: 26 * time.Second, ResetAfter: 56 * time.Second}},
		},
		{
			"a cost above the burst never passes",
			[][]store.Op{empty, one},
			4 * time.Second,
			[]store.Op{take(perMinute, alice, 7)},
			[]store.Result{{ExceedsBurst: true, ResetAfter: 56 * time.Second}},
		},
		{"a smaller cost is not known to be denied", [][]store.Op{empty, {take(perMinute, alice, 2)}}, 0, one, nil},
		{
			"whole tokens flow in",
			[][]store.Op{{take(perSecond, alice, 6)}, {take(perSecond, alice, 3)}},
			2500 * time.Millisecond,
			[]store.Op{take(perSecond, alice, 3)},
			[]store.Result{{Remaining: 2, RetryAfter: 500 * time.Millisecond, ResetAfter: 3500 * time.Millisecond}},
		},
		{
			"the batch that was denied",
			[][]store.Op{empty, both},
			4 * time.Second, both,
			[]store.Result{{RetryAfter: 6 * time.Second, ResetAfter: 56 * time.Second}, {Allowed: true, Remaining: 100}},
		},
		{
			"the denied batch in another order",
			[][]store.Op{empty, both},
			4 * time.Second,
			[]store.Op{both[1], both[0]},
			[]store.Result{{Allowed: true, Remaining: 100}, {RetryAfter: 6 * time.Second, ResetAfter: 56 * time.Second}},
		},
		{
			"a part of the denied batch",
			[][]store.Op{empty, both},
			0, one,
			[]store.Result{{RetryAfter: 10 * time.Second, ResetAfter: time.Minute}},
		},
		{"the part that was allowed", [][]store.Op{empty, both}, 0, []store.Op{both[1]}, nil},
		{"together with an unknown bucket", [][]store.Op{empty, one}, 0, both, nil},
		{
			"the level of another bucket is kept up to date",
			[][]store.Op{empty, both, {take(second, alice, 10)}},
			0, both,
			[]store.Result{
				{RetryAfter: 10 * time.Second, ResetAfter: time.Minute},
				{Allowed: true, Remaining: 90, ResetAfter: 6 * time.Minute},
			},
		},
		{
			"a smaller take goes on and is counted",
			[][]store.Op{{take(perMinute, alice, 4)}, {take(perMinute, alice, 3)}, one},
			0,
			[]store.Op{take(perMinute, alice, 3)},
			[]store.Result{{Remaining: 1, RetryAfter: 20 * time.Second, ResetAfter: 50 * time.Second}},
		},
		{
			"the level of another bucket to the fraction of a nanosecond",
			[][]store.Op{empty, {take(thirds, alice, 1)}, {one[0], take(thirds, alice, 2)}},
			0,
			[]store.Op{one[0], take(thirds, alice, 2)},
			[]store.Result{
				{RetryAfter: 10 * time.Second, ResetAfter: time.Minute},
				{Allowed: true, Remaining: 2, ResetAfter: 333333334},
			},
		},
		{"two ops on one bucket", [][]store.Op{empty, one}, 0, []store.Op{one[0], one[0]}, nil},
		{
			"denied only because the batch takes twice",
			[][]store.Op{{take(perMinute, alice, 2)}, {take(perMinute, alice, 3), take(perMinute, alice, 3)}},
			0,
			[]store.Op{take(perMinute, alice, 3)},
			nil,
		},
		{"a peek calls the store", [][]store.Op{empty, one}, 0, []store.Op{kind(store.Peek, 1)}, nil},
		{
			"a peek beside a denied take",
			[][]store.Op{empty, {one[0], peek(second, 1)}},
			4 * time.Second,
			[]store.Op{peek(second, 100), one[0]},
			[]store.Result{{Allowed: true, Remaining: 100}, {RetryAfter: 6 * time.Second, ResetAfter: 56 * time.Second}},
		},
		{
			"a peek that finds too little beside a denied take",
			[][]store.Op{empty, {one[0], peek(second, 101)}},
			0,
			[]store.Op{one[0], peek(second, 101)},
			nil,
		},
		{
			"a peek does not forget",
			[][]store.Op{empty, one, {kind(store.Peek, 1)}},
			0, one,
			[]store.Result{{RetryAfter: 10 * time.Second, ResetAfter: time.Minute}},
		},
		{"a peek by itself denies nothing", [][]store.Op{empty, {kind(store.Peek, 1)}}, 0, one, nil},
		{"a refund forgets", [][]store.Op{empty, one, {kind(store.Refund, 1)}}, 0, one, nil},
		{"a reset forgets", [][]store.Op{empty, one, {kind(store.Reset, 0)}}, 0, one, nil},
		{
			"a batch with a refund calls the store",
			[][]store.Op{empty, one},
			0,
			[]store.Op{one[0], {Kind: store.Refund, Limit: second, Key: alice, Cost: 1}},
			nil,
		},
		{"another rate calls the store", [][]store.Op{empty, one}, 0, []store.Op{take(slower, alice, 1)}, nil},
		{"other numbers call the store", [][]store.Op{empty, one}, 0, []store.Op{take(other, alice, 1)}, nil},
		{"other numbers forget the old ones", [][]store.Op{empty, one, {take(other, alice, 1)}}, 0, one, nil},
		{
			"exceeding the burst is repeated for a second",
			[][]store.Op{{take(perMinute, alice, 7)}},
			time.Second - 1,
			[]store.Op{take(perMinute, alice, 8)},
			[]store.Result{{ExceedsBurst: true, Remaining: 6}},
		},
		{
			"exceeding the burst is repeated no longer",
			[][]store.Op{{take(perMinute, alice, 7)}},
			time.Second,
			[]store.Op{take(perMinute, alice, 8)},
			nil,
		},
		{"exceeding the burst says nothing about smaller takes", [][]store.Op{{take(perMinute, alice, 7)}}, 0, one, nil},
		{"an empty batch", [][]store.Op{empty, one}, 0, nil, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFront()
			for _, ops := range tc.setup {
				f.do(t, append([]store.Op(nil), ops...)...)
			}
			f.time += tc.wait
			trips := f.trips
			got := f.do(t, append([]store.Op(nil), tc.ops...)...)
			if tc.want == nil {
				assert.Equal(t, trips+1, f.trips, "the store must be called")
				return
			}
			assert.Equal(t, trips, f.trips, "the store must not be called")
			assert.Equal(t, tc.want, got)
		})
	}
}

// The denial counts from before the call. The waits in the answers count from after the call.
func TestDenialsErrOnTheSafeSide(t *testing.T) {
	f := newFront()
	f.before, f.after = 3*ms, 4*ms
	op := take(newLimit(t, "a", 0, 1, time.Second, 0), user("a"), 1)
	f.do(t, op)
	begun := f.time
	require.Equal(t, time.Second-7*ms, f.do(t, op)[0].RetryAfter)
	until := begun + time.Second - 7*ms // had the store decided at once
	f.time = until - 1
	assert.Equal(t, 7*ms+1, f.do(t, op)[0].RetryAfter)
	assert.Equal(t, 1, f.hits)
	f.time = until
	f.before, f.after = 0, 0
	assert.Equal(t, 3*ms, f.do(t, op)[0].RetryAfter, "the answer of the store, which is closer")
	assert.Equal(t, 1, f.hits)
}

// The time until the store is called again counts from before the call.
func TestDenialsAreBelievedFromBeforeTheCall(t *testing.T) {
	f := newFront()
	op := take(newLimit(t, "a", 0, 1, time.Hour, 0), user("a"), 1)
	f.do(t, op)
	f.before, f.after = 3*ms, 4*ms
	f.do(t, op)
	f.time += recheckAfter - 7*ms - 1
	f.do(t, op)
	assert.Equal(t, 1, f.hits)
	f.time++
	f.do(t, op)
	assert.Equal(t, 1, f.hits)
}

// If the clock goes back during a call, waits still count from the later instant.
func TestDenialsAfterAClockThatGoesBack(t *testing.T) {
	m := newDenials(8)
	op := take(newLimit(t, "a", 0, 1, time.Hour, 0), user("a"), 1)
	told := op
	told.Result = store.Result{RetryAfter: time.Hour, ResetAfter: time.Hour}
	m.learn(50, start{at: 100}, []store.Op{told}, false)
	ops := []store.Op{op}
	_, denied := m.answer(100, ops)
	require.True(t, denied)
	assert.Equal(t, told.Result, ops[0].Result)
}

// For the cost that was denied, and while no other op touches the bucket, every answer equals the
// answer of the store to the nanosecond.
func TestDenialsAreExactToTheNanosecond(t *testing.T) {
	for _, l := range []pace.Limit{
		{Count: 3, Period: time.Second},
		{Count: 7, Period: 11 * time.Second, Burst: 5},
		{Count: 999_983, Period: 24 * time.Hour, Burst: 17},
		{Count: 100, Period: time.Minute},
		{Count: 7, Period: 10, Burst: 100},
	} {
		rnd := rand.New(rand.NewPCG(5, 6))
		limit := newLimit(t, "a", 0, l.Count, l.Period, l.Burst)
		one := int64(pace.Of(l.Count, l.Period).TimeOf(1).Ceil())
		for cost := int64(1); cost <= 3; cost++ {
			f := newFront()
			twin := newMapStore(func() time.Duration { return f.time })
			op := take(limit, user("a"), cost)
			for allowed := true; allowed; {
				require.NoError(t, twin.Apply(context.Background(), []store.Op{op}))
				allowed = f.do(t, op)[0].Allowed
				f.time += time.Duration(rnd.Int64N(one/2 + 1))
			}
			for step := range 500 {
				want := []store.Op{op}
				require.NoError(t, twin.Apply(context.Background(), want))
				res := want[0].Result
				hits := f.hits
				got := f.do(t, op)[0]
				require.Equal(t, res.Allowed, got.Allowed, "%v: step %d", l, step)
				require.Equal(t, res.RetryAfter, got.RetryAfter, "%v: step %d", l, step)
				require.Equal(t, res.ResetAfter, got.ResetAfter, "%v: step %d", l, step)
				if hits == f.hits {
					require.Equal(t, res.Remaining, got.Remaining, "%v: step %d", l, step)
				} else {
					require.LessOrEqual(t, got.Remaining, res.Remaining, "%v: step %d", l, step)
					require.GreaterOrEqual(t, got.Remaining, twin.remaining(&op, f.time-1), "%v: step %d", l, step)
				}
				f.time += []time.Duration{0, 1, res.RetryAfter / 3, max(res.RetryAfter-1, 0), res.RetryAfter}[rnd.IntN(5)]
			}
			assert.Greater(t, f.hits, 100, "%v", l)
		}
	}
}
