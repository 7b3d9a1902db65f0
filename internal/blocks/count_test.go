package blocks

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/store"
)

// Exactly AfterCount violations lead to a block, which ends when it says.
func TestBlockAfterExactlyNViolations(t *testing.T) {
	for _, n := range []int{1, 2, 5, 100} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := after(int64(n))
				p.For, p.Max = 2*hour, 2*hour
				in := newInstance(p, newServer())
				require.Equal(t, 2*hour, in.untilBlocked(t, n))
				b, ok := in.known.Get(in.ID(alice))
				require.True(t, ok)
				assert.Equal(t, Block{Rule: "p", Key: alice, Left: 2 * hour, Times: 1}, b)
				time.Sleep(2*hour - 1)
				assert.Positive(t, in.left(alice), "a nanosecond too early")
				assert.Zero(t, in.left(user("bob")))
				time.Sleep(time.Nanosecond)
				assert.Zero(t, in.left(alice))
				_, ok = in.known.Get(in.ID(alice))
				assert.False(t, ok)
			})
		})
	}
}

func TestGrowth(t *testing.T) {
	const m, h = minu, hour
	for _, tc := range []struct {
		name   string
		policy Policy
		pauses []time.Duration // after the end of each block
		want   []time.Duration
	}{
		{
			"doubled up to Max",
			Policy{},
			[]time.Duration{0, 0, 0, 0, 0, 0, 0, 0},
			[]time.Duration{m, 2 * m, 4 * m, 8 * m, 16 * m, 32 * m, h, h},
		},
		{"Max is For", Policy{For: h, Max: h}, []time.Duration{0, 0, 0}, []time.Duration{h, h, h}},
		{"Max is a doubling", Policy{For: sec, Max: 4 * sec}, []time.Duration{0, 0, 0, 0}, []time.Duration{sec, 2 * sec, 4 * sec, 4 * sec}},
		{"just before it is forgotten", Policy{Forget: h}, []time.Duration{h - m, h}, []time.Duration{m, 2 * m}},
		{"forgotten", Policy{Forget: h}, []time.Duration{h, h, h}, []time.Duration{m, m, m}},
		{"one of three is forgotten", Policy{Forget: h}, []time.Duration{0, 0, h, 0}, []time.Duration{m, 2 * m, 4 * m, 4 * m}},
		{"two of three are forgotten", Policy{Forget: h}, []time.Duration{0, 0, 2 * h, 0}, []time.Duration{m, 2 * m, 4 * m, 2 * m}},
		{
			"at most as many are remembered as lead to Max",
			Policy{Max: 2 * m, Forget: h},
			[]time.Duration{0, 0, 0, 0, h, h},
			[]time.Duration{m, 2 * m, 2 * m, 2 * m, 2 * m, m},
		},
		{
			"blocked for longer than it takes to forget",
			Policy{For: h, Max: 8 * h, Forget: m},
			[]time.Duration{0, 0, m, 0},
			[]time.Duration{h, 2 * h, 4 * h, 4 * h},
		},
		{
			"times that are no whole milliseconds",
			Policy{For: sec + 1, Max: 5*sec + 7, Forget: m + 3},
			[]time.Duration{0, 0, 0, 0},
			[]time.Duration{1001 * ms, 2002 * ms, 4004 * ms, 5001 * ms},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tc.policy.AfterCount, tc.policy.AfterPeriod = 3, hour
				in := newInstance(tc.policy, newServer())
				for i, want := range tc.want {
					got := in.untilBlocked(t, 3)
					require.Equal(t, want, got, "block %d", i+1)
					time.Sleep(got + time.Microsecond + tc.pauses[i])
				}
			})
		})
	}
}

// Violations that are fewer than the Policy allows never block.
func TestViolationsThatAreFewEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInstance(Policy{AfterCount: 3, AfterPeriod: 3 * minu}, newServer())
		for range 100 {
			wait, times := in.violate(alice)
			require.Zero(t, wait)
			require.Zero(t, times)
			time.Sleep(minu)
		}
		assert.Zero(t, requireSound(t, in.known))
	})
}

// A violation during a block does not count and does not make the block longer.
func TestViolationsWhileBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInstance(after(2), newServer())
		in.untilBlocked(t, 2)
		for i := range 59 {
			time.Sleep(sec)
			for range 10 {
				wait, times := in.violate(alice)
				require.Equal(t, minu-time.Duration(i+1)*sec, wait)
				require.Zero(t, times)
			}
		}
		b, ok := in.known.Get(in.ID(alice))
		require.True(t, ok)
		assert.Equal(t, Block{Rule: "p", Key: alice, Left: sec, Times: 1}, b)
		time.Sleep(sec)
		assert.Equal(t, 2*minu, in.untilBlocked(t, 2))
	})
}

// Of many goroutines with violations at once, one begins the block.
func TestViolationsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInstance(after(20), newServer())
		var begun []int
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 200 {
			wg.Go(func() {
				for range 5 {
					if wait, times := in.violate(alice); times > 0 {
						mu.Lock()
						begun = append(begun, times)
						mu.Unlock()
						assert.Equal(t, minu, wait)
					}
				}
			})
		}
		wg.Wait()
		assert.Equal(t, []int{1}, begun)
		assert.Equal(t, minu, in.left(alice))
		assert.Equal(t, answer{wait: minu}, found(in))
		time.Sleep(minu)
		assert.Equal(t, 2*minu, in.untilBlocked(t, 20))
	})
}

// found returns what an instance knows of a block of alice.
func found(in *instance) answer {
	wait, ask := in.known.Find(in.ID(alice))
	return answer{wait, ask}
}

// All instances count the violations and the blocks of a key together.
func TestInstancesCountTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		a, b := newInstance(after(4), s), newInstance(after(4), s)
		for i, want := range []time.Duration{minu, 2 * minu, 4 * minu} {
			for _, in := range []*instance{a, b, a} {
				wait, _ := in.violate(alice)
				require.Zero(t, wait)
			}
			wait, times := b.violate(alice)
			require.Equal(t, want, wait)
			require.Equal(t, i+1, times)
			require.Equal(t, answer{}, found(a), "it has not called the store since")
			wait, times = a.violate(alice)
			require.Equal(t, want, wait)
			require.Zero(t, times, "it has not begun this block")
			require.Equal(t, answer{wait: want}, found(a))
			time.Sleep(want)
		}
		assert.Equal(t, 3*6, a.calls)
	})
}

// A step is how a store answers one batch of Count.
type step struct {
	block, violations, repeats store.Result
	undecided, local           bool
}

// A script is a store that answers step by step.
type script struct {
	watch
	steps []step
	kinds []store.Kind // of the first ops of all batches
	takes time.Duration
}

func (s *script) apply(ops []store.Op) (decided, shared bool) {
	s.now += s.takes
	s.kinds = append(s.kinds, ops[0].Kind)
	if len(s.kinds) > len(s.steps) {
		return true, true
	}
	answers := s.steps[len(s.kinds)-1]
	block, violations, repeats := Answers(ops)
	*block, *violations, *repeats = answers.block, answers.violations, answers.repeats
	return !answers.undecided, !answers.local
}

// Count draws the right conclusion from each answer that a store can give.
func TestCountByAnswer(t *testing.T) {
	yes, full := store.Result{Allowed: true}, store.Result{Allowed: true, Overflow: true}
	blocked := store.Result{RetryAfter: hour}
	last := step{block: yes, violations: yes, repeats: yes}
	for _, tc := range []struct {
		name  string
		steps []step
		wait  time.Duration
		times int
		left  time.Duration // of the block that the instance knows of
	}{
		{name: "the store failed", steps: []step{{undecided: true}}},
		{name: "no room for the block", steps: []step{{block: full, violations: yes}}},
		{name: "no room for the violations", steps: []step{{block: yes, violations: full}}},
		{name: "another key of those without room is blocked", steps: []step{{block: store.Result{Overflow: true, RetryAfter: hour}}}},
		{name: "blocked", steps: []step{{block: blocked}}, wait: hour, left: hour},
		{name: "blocked in local memory", steps: []step{{block: blocked, local: true}}, wait: hour},
		{name: "not the last violation", steps: []step{{block: yes, violations: store.Result{Allowed: true, Remaining: 1}}}},
		{name: "the first block", steps: []step{last, last}, wait: minu, times: 1, left: minu},
		{
			name:  "the third block",
			steps: []step{{block: yes, violations: yes, repeats: store.Result{Allowed: true, ResetAfter: 2*day - minu}}, last},
			wait:  4 * minu, times: 3, left: 4 * minu,
		},
		{
			name:  "a block in local memory",
			steps: []step{{block: yes, violations: yes, local: true}, {block: yes, local: true}},
			wait:  minu, times: 1, left: minu,
		},
		{name: "the store fails before the block", steps: []step{last, {undecided: true}}},
		{name: "no room anymore", steps: []step{last, {block: full}}},
		{name: "blocked by another goroutine", steps: []step{last, {block: blocked}}, wait: hour, left: hour},
		{name: "blocked by another goroutine in local memory", steps: []step{last, {block: blocked, local: true}}, wait: hour},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b, s := Compile("p", after(3)), &script{steps: tc.steps}
			known := NewKnown(MaxKnown, true, s.read)
			wait, times := b.Count(known, "p", alice, s.apply)
			assert.Equal(t, tc.wait, wait)
			assert.Equal(t, tc.times, times)
			left, ask := known.Find(b.ID(alice))
			assert.Equal(t, tc.left, left)
			assert.False(t, ask)
			want := []store.Kind{store.Take, store.Take}[:len(tc.steps)]
			assert.Equal(t, want, s.kinds)
		})
	}
}

// The block of an instance ends at most as late as in the store. A client waits at least as long.
func TestCountWithASlowStore(t *testing.T) {
	b, s := Compile("p", after(1)), &script{takes: 3 * sec}
	known := NewKnown(MaxKnown, false, s.read)
	s.steps = make([]step, 2)
	for i := range s.steps {
		s.steps[i].block.Allowed, s.steps[i].violations.Allowed = true, true
	}
	wait, times := b.Count(known, "p", alice, s.apply)
	assert.Equal(t, minu, wait)
	assert.Equal(t, 1, times)
	got, ok := known.Get(b.ID(alice))
	require.True(t, ok)
	assert.Equal(t, Block{Rule: "p", Key: alice, Left: minu, Times: 1}, got, "from the answer")
	s.now = 3*sec + minu - 1 // the second call began after three seconds
	got, ok = known.Get(b.ID(alice))
	require.True(t, ok)
	assert.Equal(t, 3*sec+1, got.Left)
	s.now++
	_, ok = known.Get(b.ID(alice))
	assert.False(t, ok)
}

// A block that was lifted during Count is not remembered.
func TestLiftDuringCount(t *testing.T) {
	for _, liftAt := range []int{1, 2} {
		b, s := Compile("p", after(1)), &script{steps: make([]step, 2)}
		for i := range s.steps {
			s.steps[i].block.Allowed, s.steps[i].violations.Allowed = true, true
		}
		s.steps[0].block = store.Result{Allowed: liftAt == 2, RetryAfter: hour}
		known := NewKnown(MaxKnown, false, s.read)
		wait, _ := b.Count(known, "p", alice, func(ops []store.Op) (decided, shared bool) {
			decided, shared = s.apply(ops)
			if len(s.kinds) == liftAt {
				known.Lift(b.ID(alice))
			}
			return decided, shared
		})
		assert.Positive(t, wait)
		assert.Zero(t, requireSound(t, known))
		assert.False(t, known.Complete())
	}
}
