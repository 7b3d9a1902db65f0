package redisstore_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/redisstore"
	"github.com/ratelimit-go/ratelimit/redisstore/internal/redistest"
	"github.com/ratelimit-go/ratelimit/store"
	"github.com/ratelimit-go/ratelimit/storetest"
)

// A rule is several limits of one rule, for user a.
type rule struct {
	*testing.T
	client *redis.Client
	store  *redisstore.Store
	limits []*store.Limit
}

func newRule(t *testing.T, server *redistest.Server, texts ...string) *rule {
	server.Do("flushall")
	r := &rule{T: t, client: server.Client()}
	r.store = newStore(t, r.client, redisstore.Config{})
	for i, text := range texts {
		r.limits = append(r.limits, limit(t, "r", i, text))
	}
	return r
}

// op applies a batch of one kind to the limits with these indexes, and returns what remains of
// each.
func (r *rule) op(kind store.Kind, cost int64, indexes ...int) []int64 {
	r.Helper()
	var ops []store.Op
	for _, i := range indexes {
		ops = append(ops, store.Op{Kind: kind, Limit: r.limits[i], Key: ratelimit.UserKey("a"), Cost: cost})
	}
	require.NoError(r, r.store.Apply(r.Context(), ops))
	var left []int64
	for _, op := range ops {
		left = append(left, op.Result.Remaining)
	}
	return left
}

func (r *rule) state() string {
	key := r.key()
	if key == "" {
		return ""
	}
	return r.client.Get(r.Context(), key).Val()
}

func (r *rule) key() string {
	r.Helper()
	keys := r.client.Keys(r.Context(), "*").Val()
	if len(keys) == 0 {
		return ""
	}
	require.Len(r, keys, 1, "a rule has one key in Redis for each user")
	return keys[0]
}

// wantTTL fails unless the key lives for d, until the slowest bucket is full.
func (r *rule) wantTTL(d time.Duration) {
	r.Helper()
	ttl := r.client.PTTL(r.Context(), r.key()).Val()
	assert.LessOrEqual(r, ttl, d+2*time.Millisecond)
	assert.Greater(r, ttl, d-5*time.Second)
}

// A batch may have ops on some limits of a rule. It leaves the others as they are.
func TestLimitsOfARule(t *testing.T) {
	server := redistest.Start(t)
	r := newRule(t, server, "10 per hour", "20 per day", "5 per minute")
	require.Equal(t, []int64{8, 18, 3}, r.op(store.Take, 2, 0, 1, 2))
	r.wantTTL(2 * 72 * time.Minute)
	require.Equal(t, []int64{7}, r.op(store.Take, 1, 0))
	r.wantTTL(2 * 72 * time.Minute)
	require.Equal(t, []int64{2}, r.op(store.Take, 1, 2))
	require.Equal(t, []int64{2, 7}, r.op(store.Peek, 0, 2, 0))
	require.Equal(t, []int64{20}, r.op(store.Reset, 0, 1))
	require.Equal(t, []int64{7, 20, 2}, r.op(store.Peek, 0, 0, 1, 2))
	require.Equal(t, []int64{10}, r.op(store.Refund, 5, 0))
	require.Equal(t, []int64{10, 20, 2}, r.op(store.Peek, 0, 0, 1, 2))
	require.Equal(t, []int64{10, 17, 2}, append(append(r.op(store.Peek, 0, 0), r.op(store.TakeUpTo, 3, 1)...), r.op(store.Peek, 0, 2)...))
	require.Equal(t, []int64{10, 0, 2}, append(append(r.op(store.Peek, 0, 0), r.op(store.TakeUpTo, 30, 1)...), r.op(store.Peek, 0, 2)...))
	r.op(store.Reset, 0, 1)
	r.op(store.Reset, 0, 2)
	assert.Empty(t, r.state(), "full buckets are kept")
}

// A key lives as long as its slowest limit needs, even if only a fast limit is charged.
func TestFastLimitBesideASlowOne(t *testing.T) {
	server := redistest.Start(t)
	r := newRule(t, server, "1 per day", "1000 per second")
	r.op(store.Take, 1, 0)
	r.op(store.Take, 1, 1)
	r.wantTTL(24 * time.Hour)
	time.Sleep(20 * time.Millisecond)
	require.Equal(t, []int64{0, 1000}, r.op(store.Peek, 0, 0, 1))
}

func TestStates(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	for name, tc := range map[string]struct {
		limits []string
		run    func(*rule)
		want   string // a regular expression
	}{
		"one limit":         {[]string{"10 per hour"}, func(r *rule) { r.op(store.Take, 7, 0) }, `^\d{16}7$`},
		"many tokens":       {[]string{"1_000_000 per year"}, func(r *rule) { r.op(store.Take, 999_999, 0) }, `^\d{16}999999$`},
		"more than 32 bits": {[]string{"10_000_000_000 per day"}, func(r *rule) { r.op(store.TakeUpTo, 1<<40, 0) }, `^\d{16}10000000000$`},
		"part of a token": {[]string{"7 per 3 seconds"}, func(r *rule) {
			r.op(store.Take, 7, 0)
			time.Sleep(500 * time.Millisecond)
			r.op(store.Take, 1, 0)
		}, `^\d{16}[1-7]\.\d{7,}$`},
		"all limits": {[]string{"10 per hour", "10 per day", "3 per day"}, func(r *rule) {
			r.op(store.Take, 1, 2, 1, 0)
		}, `^\d{16}1 \d{16}1@8\.64e\+09 \d{16}1@2\.88e\+10$`},
		"the last limit": {[]string{"10 per hour", "10 per day", "3 per day"}, func(r *rule) {
			r.op(store.Take, 1, 2)
		}, `^0 0 \d{16}1@2\.88e\+10$`},
		"the first limits": {[]string{"10 per hour", "10 per day", "3 per day"}, func(r *rule) {
			r.op(store.Take, 1, 0, 1, 2)
			r.op(store.Reset, 0, 2)
		}, `^\d{16}1 \d{16}1@8\.64e\+09$`},
		"none": {[]string{"10 per hour", "10 per day"}, func(r *rule) {
			r.op(store.Take, 1, 0, 1)
			r.op(store.Reset, 0, 0, 1)
		}, `^$`},
		"the first by refunds": {[]string{"10 per hour", "10 per day"}, func(r *rule) {
			r.op(store.Take, 2, 0)
			r.op(store.Take, 1, 0, 1)
			r.op(store.Refund, 1, 0, 1)
		}, `^\d{16}1\.9\d{9,}$`},
		"the middle": {[]string{"10 per hour", "10 per day", "3 per day"}, func(r *rule) {
			r.op(store.Take, 1, 0, 1, 2)
			r.op(store.Refund, 1, 0, 2)
		}, `^0 \d{16}1@8\.64e\+09$`},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRule(t, server, tc.limits...)
			tc.run(r)
			assert.Regexp(t, tc.want, r.words())
		})
	}
}

// The server needs no memory of its own for whole tokens of one limit, and little for the rest: 12
// bytes for the first limit, and 16 for each other.
func TestStatesAreShort(t *testing.T) {
	server := redistest.Start(t)
	r := newRule(t, server, "100 per minute")
	r.op(store.Take, 99, 0)
	assert.Equal(t, "int", r.client.ObjectEncoding(t.Context(), r.key()).Val())
	for _, tc := range []struct {
		limits []string
		length int
	}{
		{[]string{"100 per minute"}, 12},
		{[]string{"1000 per hour"}, 12},
		{[]string{"1000 per day"}, 12},
		{[]string{"50_000 per day"}, 12},
		{[]string{"7 per 3 seconds"}, 12},
		{[]string{"10 per second", "100 per minute", "1000 per hour"}, 44},
	} {
		r := newRule(t, server, tc.limits...)
		indexes := []int{0, 1, 2}[:len(tc.limits)]
		for range 3 {
			r.op(store.Take, 2, indexes...)
			time.Sleep(3 * time.Millisecond) // part of a token
		}
		r.op(store.Take, 1, indexes...)
		assert.Len(t, r.state(), tc.length, "%v: %s", tc.limits, r.words())
	}
}

// However the bytes of a bucket look, spaces and digits among them, its words are found again.
func TestBytesOfWordsSeparateNothing(t *testing.T) {
	clock, s := newManual(t, redistest.Start(t).Client())
	limits := []*store.Limit{limit(t, "r", 0, "50_000 per day"), limit(t, "r", 1, "300 per hour"), limit(t, "r", 2, "7 per minute")}
	for _, low := range []int64{0x202020202020, 0x313233343536, 0x203020302030, 0x000000000000, 0xffffffffffff, 0x0a0a0a0a0a0a} {
		for spent := range int64(70) {
			clock.us = 6<<48 | low
			exact := storetest.NewExact(func() time.Time { return time.UnixMicro(clock.us) })
			key := fmt.Sprint(low, spent)
			ops := append(take(limits[0], key, 32+spent), take(limits[1], key, spent)...)
			ops = append(ops, take(limits[2], key, spent%7)...)
			for range 3 {
				for i := range ops {
					ops[i].Kind = store.TakeUpTo
				}
				want := slices.Clone(ops)
				require.NoError(t, exact.Apply(t.Context(), want))
				require.NoError(t, s.Apply(t.Context(), ops))
				require.Equal(t, want, ops)
				clock.step(1234 * time.Microsecond)
			}
		}
	}
}

// A state that cannot be read is an empty bucket. The next op repairs it.
func TestUnknownStateOfSeveralLimits(t *testing.T) {
	server := redistest.Start(t)
	now := fmt.Sprint(time.Now().UnixMicro())
	for name, tc := range map[string]struct {
		state string
		want  []bool // which of the two limits has anything left
	}{
		"nothing":        {"", []bool{false, false}},
		"blanks":         {"   ", []bool{false, false}},
		"text":           {"17", []bool{false, false}},
		"words":          {"one two", []bool{false, false}},
		"a later format": {"v2 " + now + "1", []bool{false, true}},
		"the first":      {now + "x " + now + "1", []bool{false, true}},
		"the second":     {now + "1 nan", []bool{true, false}},
		"negative":       {now + "1 " + now + "-5", []bool{true, false}},
		"infinite":       {now + "inf " + now + "nan", []bool{false, false}},
		"only the first": {now + "1", []bool{true, true}},
		"a full first":   {"0 " + now + "1", []bool{true, true}},
		"zeros":          {strings.Repeat("\x00", 40), []bool{false, false}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRule(t, server, "2 per hour", "2 per day")
			r.op(store.Take, 1, 0)
			key := r.key()
			for i, want := range tc.want {
				require.NoError(t, r.client.Set(t.Context(), key, tc.state, time.Hour).Err())
				assert.Equal(t, want, r.op(store.Peek, 0, i)[0] > 0, "limit %d alone", i)
			}
			require.NoError(t, r.client.Set(t.Context(), key, tc.state, time.Hour).Err())
			for i, left := range r.op(store.Peek, 0, 0, 1) {
				assert.Equal(t, tc.want[i], left > 0, "limit %d", i)
			}
			assert.Positive(t, r.client.PTTL(t.Context(), key).Val(), "it must fill again")
		})
	}
}

// Lua has a stack of 8000 values. The largest batch must fit.
func TestLargestBatch(t *testing.T) {
	s := newStore(t, redistest.Start(t).Client(), redisstore.Config{})
	var ops []store.Op
	for i := range 512 {
		ops = append(ops, take(limit(t, "r", i%3, "10 per hour"), fmt.Sprint(i/5), 1)...)
	}
	require.NoError(t, s.Apply(t.Context(), ops))
	for i, op := range ops {
		assert.True(t, op.Result.Allowed)
		assert.InDelta(t, 9, op.Result.Remaining, 1, "op %d", i)
	}
	ops = append(ops, ops[0])
	require.ErrorIs(t, s.Apply(t.Context(), ops), store.ErrInvalidOp)
	ops = take(limit(t, "r", 0, "1_000_000_000 per second burst 300_000_000_000_000"), "a", 1)
	require.ErrorIs(t, s.Apply(t.Context(), ops), store.ErrInvalidOp, "a double cannot count so many")
}
