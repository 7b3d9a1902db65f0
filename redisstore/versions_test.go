package redisstore_test

import (
	"encoding/binary"
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/redisstore"
	"github.com/ratelimit-go/ratelimit/redisstore/internal/redistest"
	"github.com/ratelimit-go/ratelimit/store"
)

// Instances with two versions of a policy use one key by turns. Each turn has new instances, which
// remember no denial.
func TestTwoVersionsOfAPolicyInRedis(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		texts []string
		wait  time.Duration
		most  int
	}{
		"a lower limit":     {[]string{"200 per day", "20 per day"}, 0, 200},
		"a lower burst":     {[]string{"40 per hour burst 20", "40 per hour burst 10"}, 0, 20},
		"a slower rate":     {[]string{"40 per hour burst 20", "1 per hour burst 20"}, 0, 20},
		"another order":     {[]string{"10 per second; 20 per hour", "20 per hour; 10 per second"}, 0, 20},
		"one more":          {[]string{"20 per hour", "10 per second; 20 per hour"}, 0, 20},
		"one more of two":   {[]string{"10 per hour; 20 per day", "2 per minute; 10 per hour; 20 per day"}, 0, 10},
		"a slower one more": {[]string{"20 per hour", "20 per hour; 50 per day"}, 0, 20},
		"a slower one more of two": {
			[]string{"30 per minute; 20 per hour", "20 per hour; 50 per day; 30 per minute"}, 0, 20,
		},
		"a slower one more and a lower limit": {[]string{"20 per hour", "50 per day; 10 per hour"}, 0, 20},
		"another unit of the faster limit": {
			[]string{"20 per hour; 100 per day", "30 per 10 hours; 100 per day"}, 0, 30,
		},
		"a higher limit and a slower one more": {
			[]string{"100 per day", "300 per day; 1000 per 7 days"}, 0, 300,
		},
		"a higher limit and one more of the same rate": {
			[]string{"100 per day", "300 per day; 1000 per 10 days"}, 0, 300,
		},
		"a higher limit beside a slower one": {
			[]string{"24 per day burst 20; 1 per hour", "40 per day; 1 per hour burst 60"}, 0, 40,
		},
		"nothing in common": {
			[]string{"2 per minute; 20 per hour; 90 per day", "10 per 5 minutes; 50 per 2 hours; 200 per 20 days"}, 0, 50,
		},
		"a wait": {[]string{"20 per hour", "20 per hour"}, 6 * time.Minute, 22},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			s := newStore(t, server.Client(), redisstore.Config{})
			allowed := 0
			for range 100 {
				for i, text := range row.texts {
					rule := ratelimit.Rule{Name: "r", Limits: ratelimit.MustParse(text)}
					if i > 0 {
						rule.MaxWait = row.wait
					}
					l, err := ratelimit.New(ratelimit.Config{
						Store: s, OnStoreFailure: ratelimit.FailClosed, StoreTimeout: 5 * time.Second,
						Rules: []ratelimit.Rule{rule}, Hooks: quiet,
					})
					require.NoError(t, err)
					for range 3 {
						d, err := l.Take(t.Context(), "r", ratelimit.UserKey("a"), 1)
						require.NoError(t, err)
						require.NoError(t, d.StoreErr)
						if d.Allowed {
							allowed++
						}
					}
				}
			}
			assert.LessOrEqual(t, allowed, row.most)
		})
	}
}

// A version with a slower limit more, which looks while the clock is behind, gives no tokens of the
// limit that it shares with another version when the clock is where it was.
func TestSlowerLimitMoreOnASwingingClock(t *testing.T) {
	clock, s := newManual(t, redistest.Start(t).Client())
	one, same := limit(t, "r", 0, "60 per minute").Versioned(), limit(t, "r", 3, "60 per minute").Versioned()
	slower := limit(t, "r", 0, "600 per hour").Versioned()
	both := func(kind store.Kind, cost int64) []store.Op {
		ops := append(take(slower, "a", cost), take(same, "a", cost)...)
		for i := range ops {
			ops[i].Kind = kind
			ops[i].Result = store.Result{}
		}
		require.NoError(t, s.Apply(t.Context(), ops))
		return ops
	}
	both(store.Take, 1)
	require.True(t, apply(t, s, store.Take, one, 59).Allowed)
	clock.step(-9 * time.Second)
	both(store.TakeUpTo, 1)
	clock.step(9 * time.Second)
	assert.Zero(t, both(store.Peek, 1)[1].Result.Remaining)
	clock.step(time.Second)
	assert.EqualValues(t, 1, both(store.Peek, 1)[1].Result.Remaining)
}

// A word of 12 bytes says nothing of a rate, even if its last bytes look like that.
func TestBytesOfWordsAreNoRate(t *testing.T) {
	r := newRule(t, redistest.Start(t), "50 per day", "20 per minute", "30 per hour")
	r.op(store.Take, 1, 0, 1)
	now := time.Now().Add(5 * time.Second).UnixMicro() // until then no token flows in
	instant := binary.BigEndian.AppendUint64(nil, uint64(now)|0x90<<48)
	ten := string(instant[1:]) + "\xa0\x00\x00@1" // a little more than ten tokens
	state := ten + " " + fmt.Sprint(now) + "1"
	require.NoError(t, r.client.Set(t.Context(), r.key(), state, 24*time.Hour).Err())
	assert.Equal(t, []int64{39, 19, 30}, r.op(store.Peek, 1, 0, 1, 2))
}

// A mark that is no rate makes its word unreadable.
func TestJunkMarks(t *testing.T) {
	r := newRule(t, redistest.Start(t), "50 per day", "20 per minute")
	r.op(store.Take, 1, 0, 1)
	now := fmt.Sprint(time.Now().UnixMicro())
	for _, mark := range []string{"@", "@nan", "@inf", "@-1", "@0x1", "@x", "@1@1", "@ 1", "!", "!x", "!-1", "!123", "!1!1", "@1!1"} {
		require.NoError(t, r.client.Set(t.Context(), r.key(), now+"5 "+now+"1"+mark, time.Hour).Err())
		assert.Equal(t, []int64{45, 0}, r.op(store.Peek, 1, 0, 1), mark)
	}
	require.NoError(t, r.client.Set(t.Context(), r.key(), now+"5 "+now+"1@3000000", time.Hour).Err())
	assert.Equal(t, []int64{45, 19}, r.op(store.Peek, 1, 0, 1))
}

// A part of a token that is less than the fast limit can count is no empty bucket.
func TestLessThanATick(t *testing.T) {
	clock, s := newManual(t, redistest.Start(t).Client())
	slow, fast := limit(t, "r", 0, "2 per hour"), limit(t, "r", 0, "1000 per second")
	require.True(t, apply(t, s, store.Take, slow, 2).Allowed)
	clock.step(30*time.Minute - 500*time.Millisecond)
	assert.EqualValues(t, 1, apply(t, s, store.Refund, slow, 1).Remaining, "a 3600th of a token is missing")
	r := apply(t, s, store.Peek, fast, 1)
	assert.EqualValues(t, 999, r.Remaining)
	assert.Equal(t, time.Microsecond, r.ResetAfter)
}

// A version counts what another one takes, at the rate of its own limit, in each form of a word.
func TestVersionsCountEachOtherInWords(t *testing.T) {
	for name, row := range map[string]struct {
		limit string
		word  string // the end of the second word
		left  []int64
	}{
		"in 15 bytes": {"100 per minute", "@6e+05", []int64{99, 95, 97, 92}},
		"as text":     {"20 per year", "e+12", []int64{19, 15, 15, 10}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRule(t, redistest.Start(t), "100_000 per year", row.limit)
			clock, s := newManual(t, r.client)
			own, other := r.limits[1].Versioned(), limit(t, "r", 5, "5 per second").Versioned()
			left := func(kind store.Kind, cost int64, l *store.Limit) int64 {
				ops := append(take(r.limits[0].Versioned(), "a", cost), take(l, "a", cost)...)
				ops[0].Kind, ops[1].Kind = kind, kind
				require.NoError(t, s.Apply(t.Context(), ops))
				require.True(t, ops[0].Result.Allowed && ops[1].Result.Allowed)
				return ops[1].Result.Remaining
			}
			assert.Equal(t, row.left[0], left(store.Take, 1, own))
			left(store.Take, 4, other)
			assert.Equal(t, row.left[1], left(store.Peek, 0, own), "with the four of another version")
			assert.Regexp(t, regexp.QuoteMeta(row.word)+`( 0)* \S+@2e\+05$`, r.words())
			clock.step(1200 * time.Millisecond)
			before := r.state()
			assert.Equal(t, row.left[2], left(store.Peek, 0, own), "later")
			left(store.Take, 0, own)
			left(store.Peek, 0, limit(t, "r", 7, "9 per second").Versioned()) // a version that is new here
			left(store.Take, 0, limit(t, "r", 7, "9 per second").Versioned())
			assert.Equal(t, before, r.state(), "nothing was taken")
			left(store.Take, 5, other)
			assert.InDelta(t, row.left[3], left(store.Peek, 0, own), 1, "with five more, and rounded down")
		})
	}
}

// A fast limit that is added to a slow one is full, as long as the word of the slow one says that
// more is left of its burst: in each form of a word.
func TestFasterLimitMoreIsFull(t *testing.T) {
	fast := limit(t, "r", 3, "5 per minute").Versioned()
	for name, row := range map[string]struct {
		slow  string
		spent int64
		state string // a regular expression
	}{
		"an integer":       {"100 per hour", 95, `^-5\d{16}95$`},
		"another integer":  {"200_000 per hour", 99, `^-9\d{16}99$`},
		"12 bytes":         {"300 per hour", 195, `^(?s:.{12})$`},
		"12 bytes of many": {"100_000 per hour", 60_000, `^(?s:.{12})$`},
		"text":             {"100_000 per hour", 80_000, `^\d{21}!11$`},
		"text of years":    {"100 per 10 years", 90, `^\d{18}\.\d+!5$`},
	} {
		t.Run(name, func(t *testing.T) {
			client := redistest.Start(t).Client()
			clock, s := newManual(t, client)
			slow := limit(t, "r", 0, row.slow).Versioned()
			if name == "text of years" {
				apply(t, s, store.Take, slow, 3)
				clock.step(time.Second)
				row.spent -= 3
			}
			require.True(t, apply(t, s, store.Take, slow, row.spent).Allowed)
			require.Regexp(t, row.state, latin1(client.Get(t.Context(), keysOf(t, client)[0]).Val()))
			ops := append(take(slow, "a", 1), take(fast, "a", 5)...)
			require.NoError(t, s.Apply(t.Context(), ops))
			assert.EqualValues(t, 0, ops[1].Result.Remaining, "of 5, after a take of 5")
			assert.True(t, ops[1].Result.Allowed)
		})
	}
}

// A bucket that is full after a refund or a reset is known to the versions of its rule, and counts
// what they take.
func TestFullBucketIsKnown(t *testing.T) {
	r := newRule(t, redistest.Start(t), "90 per hour", "5 per minute")
	clock, s := newManual(t, r.client)
	slow, fast := r.limits[0].Versioned(), r.limits[1].Versioned()
	both := func(kind store.Kind, cost int64) []store.Op {
		ops := append(take(slow, "a", cost), take(fast, "a", cost)...)
		ops[0].Kind, ops[1].Kind = kind, kind
		require.NoError(t, s.Apply(t.Context(), ops))
		require.True(t, ops[0].Result.Allowed && ops[1].Result.Allowed)
		return ops
	}
	for range 18 {
		both(store.Take, 5)
		clock.step(time.Minute)
	}
	both(store.Take, 1)
	both(store.Refund, 1)
	assert.Equal(t, " 0!1@12000000", r.state()[12:])
	assert.EqualValues(t, 5, both(store.Peek, 1)[1].Result.Remaining)
	require.True(t, apply(t, s, store.Take, slow, 2).Allowed, "another version")
	assert.EqualValues(t, 3, both(store.Peek, 1)[1].Result.Remaining)
	both(store.Reset, 0)
	assert.Empty(t, r.state(), "nothing is missing")
}
