package blocks

import (
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/store"
)

// Stores keep the names and indexes of limits, so an upgrade must not change them.
func TestNamesOfBucketsNeverChange(t *testing.T) {
	b := Compile("login", Policy{AfterCount: 10, AfterPeriod: hour, AfterBurst: 20, For: minu, Max: hour, Forget: day})
	type limit struct {
		rule         string
		index        int
		count, burst int64
		period       time.Duration
	}
	var got []limit
	for _, l := range []*store.Limit{b.violations, b.block, b.repeats} {
		got = append(got, limit{l.Rule(), l.Index(), l.Count(), l.Burst(), l.Period()})
	}
	assert.Equal(t, []limit{
		{`login"block`, 0, 10, 20, hour},
		{`login"block`, 1, 1, 365 * 24 * 3600 * 1000, ms},
		{`login"block`, 2, 1, (6*24 + 1) * 3600 * 1000, ms}, // six doublings lead to an hour
	}, got)
	assert.Equal(t, ID{Limit: b.block.ID(), Key: alice}, b.ID(alice))
}

func TestCounts(t *testing.T) {
	assert.False(t, Compile("p", Policy{}).Counts())
	assert.True(t, Compile("p", after(1)).Counts())
	assert.Equal(t, int64(5), Compile("p", after(5)).violations.Burst(), "of AfterCount")
}

// Compile panics if the caller has not checked the numbers of violations.
func TestCompilePanicsOnAMistake(t *testing.T) {
	assert.Panics(t, func() { Compile("p", Policy{AfterCount: -1, AfterPeriod: hour}) })
	assert.Panics(t, func() { Compile("p", Policy{AfterCount: 1}) })
}

func TestLength(t *testing.T) {
	for _, tc := range []struct {
		policy Policy
		want   []time.Duration // of the first block, the second block and so on
	}{
		{Policy{}, []time.Duration{minu, 2 * minu, 4 * minu, 8 * minu, 16 * minu, 32 * minu, hour, hour, hour}},
		{Policy{For: hour, Max: hour}, []time.Duration{hour, hour}},
		{Policy{For: 3 * hour}, []time.Duration{3 * hour, 3 * hour}},
		{Policy{For: sec, Max: 4 * sec}, []time.Duration{sec, 2 * sec, 4 * sec, 4 * sec}},
		{Policy{For: sec, Max: 5 * sec}, []time.Duration{sec, 2 * sec, 4 * sec, 5 * sec, 5 * sec}},
		{Policy{For: sec + 1, Max: 5*sec + 7}, []time.Duration{1001 * ms, 2002 * ms, 4004 * ms, 5001 * ms, 5001 * ms}},
	} {
		b := Compile("p", tc.policy)
		for before, want := range tc.want {
			assert.Equal(t, want, b.Length(before), "%+v, %d before", tc.policy, before)
		}
		assert.Equal(t, tc.want[len(tc.want)-1], b.Length(math.MaxInt32), "%+v", tc.policy)
	}
	widest := Compile("p", Policy{For: sec, Max: MaxFor, Forget: MaxForget})
	assert.Equal(t, MaxFor, widest.Length(100))
	assert.Equal(t, sec<<24, widest.Length(24))
}

// Before rounds down by a millisecond, because a store may round up.
func TestBefore(t *testing.T) {
	b := Compile("p", Policy{For: minu, Max: 4 * minu, Forget: hour})
	for full, want := range map[time.Duration]int{
		0: 0, 1: 0, ms: 0, ms + 1: 1, minu: 1, hour: 1, hour + ms: 1, hour + ms + 1: 2, 2*hour + ms: 2, 3 * hour: 2, 100 * hour: 2,
	} {
		assert.Equal(t, want, b.Before(full), "%v", full)
	}
	assert.Zero(t, Compile("p", Policy{For: hour, Max: hour}).Before(day), "all blocks are equally long")
}

func TestOps(t *testing.T) {
	b := Compile("p", Policy{AfterCount: 3, AfterPeriod: hour, Forget: hour})
	manual := Compile("p", Policy{})
	first := store.Op{Kind: store.Peek, Limit: b.repeats, Key: user("first"), Cost: 3}
	for _, tc := range []struct {
		name string
		got  []store.Op
		want []store.Op
	}{
		{"ask", []store.Op{b.Asks(alice)}, []store.Op{{Alone: true, Kind: store.Peek, Limit: b.block, Key: alice, Cost: whole}}},
		{"violate", b.Violate([]store.Op{first}, alice), []store.Op{
			first,
			{Alone: true, Kind: store.Take, Limit: b.block, Key: alice, Cost: whole},
			{Alone: true, Kind: store.Refund, Limit: b.block, Key: alice, Cost: whole},
			{Alone: true, Kind: store.TakeUpTo, Limit: b.violations, Key: alice, Cost: 1},
			{Alone: true, Kind: store.Peek, Limit: b.repeats, Key: alice, Cost: 1},
		}},
		{"punish", b.Punish([]store.Op{first}, alice, 2*minu), []store.Op{
			first,
			{Alone: true, Kind: store.Take, Limit: b.block, Key: alice, Cost: whole},
			{Alone: true, Kind: store.Refund, Limit: b.block, Key: alice, Cost: whole - 120_000},
			{Alone: true, Kind: store.Reset, Limit: b.violations, Key: alice},
			{Alone: true, Kind: store.TakeUpTo, Limit: b.repeats, Key: alice, Cost: 120_000 + 3_600_000},
		}},
		{"block", b.BlockFor([]store.Op{first}, alice, sec+1), []store.Op{
			first,
			{Alone: true, Kind: store.Reset, Limit: b.block, Key: alice},
			{Alone: true, Kind: store.Take, Limit: b.block, Key: alice, Cost: 1001},
		}},
		{"reset", b.Resets([]store.Op{first}, alice), []store.Op{
			first,
			{Alone: true, Kind: store.Reset, Limit: b.violations, Key: alice},
			{Alone: true, Kind: store.Reset, Limit: b.block, Key: alice},
			{Alone: true, Kind: store.Reset, Limit: b.repeats, Key: alice},
		}},
		{"reset without violations", manual.Resets(nil, alice), []store.Op{
			{Alone: true, Kind: store.Reset, Limit: manual.block, Key: alice},
			{Alone: true, Kind: store.Reset, Limit: manual.repeats, Key: alice},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			assert.Equal(t, tc.want, tc.got)
			assert.NoError(t, store.CheckOps(tc.got))
		})
	}
}

func TestAnswers(t *testing.T) {
	b := Compile("p", after(3))
	first := store.Op{Kind: store.Peek, Limit: b.repeats, Key: alice}
	for name, ops := range map[string][]store.Op{
		"violate": b.Violate([]store.Op{first}, alice), "punish": b.Punish([]store.Op{first}, alice, minu),
	} {
		block, violations, repeats := Answers(ops)
		assert.Same(t, &ops[1].Result, block, name)
		assert.Same(t, &ops[3].Result, violations, name)
		assert.Same(t, &ops[4].Result, repeats, name)
	}
}

// A block by hand replaces the block before it, is as long as it says, and does not count.
func TestBlockFor(t *testing.T) {
	for _, d := range []time.Duration{ms, sec + 1, hour, MaxFor} {
		t.Run(fmt.Sprint(d), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				in := newInstance(after(2), newServer())
				for _, before := range []time.Duration{day, minu} {
					in.apply(in.BlockFor(nil, alice, before))
					require.Equal(t, before, in.left(alice))
				}
				in.apply(in.BlockFor(nil, alice, d))
				require.Equal(t, Round(d), in.left(alice))
				assert.Zero(t, in.left(user("bob")))
				time.Sleep(Round(d) - 1)
				assert.Positive(t, in.left(alice))
				time.Sleep(time.Nanosecond)
				assert.Zero(t, in.left(alice))
				assert.Equal(t, minu, in.untilBlocked(t, 2), "as long as the first block")
			})
		})
	}
}

// The buckets of a key are full after Resets, so the store can forget them.
func TestResets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInstance(after(2), newServer())
		require.Equal(t, minu, in.untilBlocked(t, 2))
		time.Sleep(minu)
		require.Equal(t, 2*minu, in.untilBlocked(t, 2))
		in.apply(in.Resets(nil, alice))
		for _, b := range in.buckets {
			assert.True(t, b.Full(time.Since(in.start)))
		}
		assert.Zero(t, in.left(alice))
		assert.Equal(t, minu, in.untilBlocked(t, 2), "as if it had never been blocked")
	})
}

// An op about a blocked key changes no bucket.
func TestViolateAndPunishWhileBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInstance(after(2), newServer())
		in.untilBlocked(t, 2)
		time.Sleep(sec)
		for _, ops := range [][]store.Op{in.Violate(nil, alice), in.Punish(nil, alice, hour)} {
			in.apply(ops)
			block, _, repeats := Answers(ops)
			assert.False(t, block.Allowed)
			assert.Equal(t, 59*sec, block.RetryAfter)
			assert.Equal(t, day+59*sec, repeats.ResetAfter)
		}
		time.Sleep(59 * sec)
		assert.Equal(t, 2*minu, in.untilBlocked(t, 2))
	})
}
