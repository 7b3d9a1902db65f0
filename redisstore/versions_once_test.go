package redisstore_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/pace"
	"github.com/ratelimit-go/ratelimit/internal/testsize"
	"github.com/ratelimit-go/ratelimit/redisstore"
	"github.com/ratelimit-go/ratelimit/redisstore/internal/redistest"
	"github.com/ratelimit-go/ratelimit/store"
)

// A version is a policy as a store gets it.
type version struct {
	text   string
	limits []*store.Limit
	burst  int64 // the smallest: so many requests it allows at one instant
}

// versionsOf returns each policy of one or two of some limits.
func versionsOf(t *testing.T, texts ...string) (all []version) {
	for i, a := range texts {
		all = append(all, newVersion(t, a))
		for _, b := range texts[i+1:] {
			all = append(all, newVersion(t, a+"; "+b))
		}
	}
	return all
}

func newVersion(t *testing.T, text string) version {
	v := version{text: text, burst: 1 << 40}
	var limits []pace.Limit
	for _, l := range ratelimit.MustParse(text) {
		limits = append(limits, pace.Limit{Count: l.Count, Period: l.Period, Burst: l.Burst})
	}
	for i, place := range pace.Places(limits) {
		l, err := store.NewLimit("r", place, limits[i].Count, limits[i].Period, limits[i].Burst)
		require.NoError(t, err)
		v.limits, v.burst = append(v.limits, l.Versioned()), min(v.burst, l.Burst())
	}
	return v
}

// takeOf takes a part of what is left of v for a user, and returns how much that was.
func (v *version) takeOf(t *testing.T, s store.Store, user string, part int64) int64 {
	var ops []store.Op
	for _, l := range v.limits {
		ops = append(ops, store.Op{Kind: store.Peek, Limit: l, Key: ratelimit.UserKey(user)})
	}
	require.NoError(t, s.Apply(t.Context(), ops))
	left := v.burst
	for i := range ops {
		left = min(left, ops[i].Result.Remaining)
	}
	for i := range ops {
		ops[i].Kind, ops[i].Cost = store.Take, (left+part-1)/part
	}
	require.NoError(t, s.Apply(t.Context(), ops))
	for i := range ops {
		require.True(t, ops[i].Result.Allowed, "%s: %d of %d left", v.text, ops[i].Cost, left)
	}
	return ops[0].Cost
}

// pairs calls f with pairs of policies, every one or a part of them.
func pairs(t *testing.T, texts []string, f func(user string, a, b version)) {
	versions := versionsOf(t, texts...)
	all := len(versions) * len(versions)
	for n := 0; n < all; n += testsize.Of(9, 37) { // without a factor in common with all
		f(fmt.Sprint(n), versions[n/len(versions)], versions[n%len(versions)])
	}
}

// Any two versions of a policy allow at most as much at one instant as one of them alone. One takes
// a part of what is left, and the other takes all. A token more may flow in meanwhile.
func TestVersionsInRedisAllowNoMoreAtOnce(t *testing.T) {
	t.Parallel()
	s := newStore(t, redistest.Start(t).Client(), redisstore.Config{})
	pairs(t, []string{
		"20 per minute", "100 per minute burst 20", "100 per minute", "300 per minute", "101 per minute burst 1000",
		"6 per minute burst 200", "500 per hour", "5999 per hour", "6000 per hour", "6000 per hour burst 90",
		"1000 per day", "144_000 per day", "1_000_000 per 100 days",
	}, func(user string, a, b version) {
		for _, part := range []int64{1, 3, 10} {
			taken, user := int64(0), fmt.Sprint(user, " ", part)
			for range 2 {
				taken += a.takeOf(t, s, user, part)
				taken += b.takeOf(t, s, user, 1)
			}
			assert.LessOrEqual(t, taken, max(a.burst, b.burst)+1, "%s, and %s, a part of %d", a.text, b.text, part)
		}
	})
}

// They do not after pauses either.
func TestVersionsInRedisAllowNoMoreAfterAPause(t *testing.T) {
	t.Parallel()
	clock, s := newManual(t, redistest.Start(t).Client())
	begin := clock.us
	pairs(t, []string{
		"5 per second", "20 per 10 seconds", "50 per minute", "100 per minute burst 20", "100 per minute", "300 per minute",
		"500 per hour", "6000 per hour", "1000 per day", "144_000 per day",
	}, func(user string, a, b version) {
		clock.us = begin
		for i, pause := range []time.Duration{0, 90 * time.Second, 30 * time.Minute, 26 * time.Hour} {
			clock.step(pause)
			taken := int64(0)
			for range 2 {
				taken += a.takeOf(t, s, user, int64(1+i%2*2))
				taken += b.takeOf(t, s, user, 1)
			}
			assert.LessOrEqual(t, taken, max(a.burst, b.burst), "%s, and %s, after %v", a.text, b.text, pause)
		}
	})
}

// Nor do versions of up to four limits with random numbers, of which one often has one limit more.
// Their limits may change places, because their periods are alike.
func TestRandomVersionsInRedisAllowNoMoreAtOnce(t *testing.T) {
	t.Parallel()
	clock, s := newManual(t, redistest.Start(t).Client())
	begin := clock.us
	for seed := range uint64(testsize.Of(800, 300)) {
		rnd := rand.New(rand.NewPCG(seed, 77))
		texts := randomLimits(rnd)
		a, b := newVersion(t, strings.Join(texts[1:], "; ")), newVersion(t, strings.Join(texts, "; "))
		if rnd.IntN(2) == 0 {
			b = newVersion(t, strings.Join(randomLimits(rnd), "; "))
		}
		clock.us = begin
		for range 5 {
			taken := int64(0)
			for range 6 {
				v := []version{a, b}[rnd.IntN(2)]
				taken += v.takeOf(t, s, fmt.Sprint(seed), 1+rnd.Int64N(4))
			}
			assert.LessOrEqual(t, taken, max(a.burst, b.burst), "seed %d: %s, and %s", seed, a.text, b.text)
			clock.step(time.Duration(rnd.Int64N(1 << (20 + rnd.IntN(27)))))
		}
	}
}

// randomLimits returns two to four different limits.
func randomLimits(rnd *rand.Rand) (texts []string) {
	for _, i := range rnd.Perm(60)[:2+rnd.IntN(3)] {
		text := fmt.Sprintf("%d per %s", []int{1, 2, 5, 10, 60, 100, 600, 1000, 3000, 6000}[i/6],
			[]string{"second", "10 seconds", "minute", "10 minutes", "hour", "day"}[i%6])
		if rnd.IntN(2) == 0 {
			text += fmt.Sprint(" burst ", 1+rnd.IntN(1<<rnd.IntN(11)))
		}
		texts = append(texts, text)
	}
	return texts
}
