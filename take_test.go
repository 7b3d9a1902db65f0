package ratelimit_test

import (
	"math"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/store"
)

// take takes cost tokens of a key, and returns the decision.
func take(t *testing.T, l *ratelimit.Limiter, rule string, key ratelimit.Key, cost int64) ratelimit.Decision {
	t.Helper()
	d, err := l.Take(t.Context(), rule, key, cost)
	require.NoError(t, err)
	return d
}

func TestTakeNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{patient("r", "2 per minute", time.Hour)}})
		begin, key := time.Now(), ratelimit.UserKey("a")
		assert.True(t, take(t, l, "r", key, 2).Allowed)
		for range 3 {
			d := take(t, l, "r", key, 1)
			assert.False(t, d.Allowed)
			assert.Equal(t, ratelimit.ReasonLimit, d.Reason)
			assert.Equal(t, 30*time.Second, d.RetryAfter)
			peek, err := l.Peek(t.Context(), "r", key)
			require.NoError(t, err)
			assert.Equal(t, 30*time.Second, peek.RetryAfter)
			assert.False(t, peek.Allowed)
			assert.Equal(t, d, peek, "a Peek tells what a Take would return")
		}
		assert.Zero(t, time.Since(begin))
		time.Sleep(30 * time.Second)
		assert.True(t, take(t, l, "r", key, 1).Allowed)
	})
}

// Take never waits, so it never gets more than the burst, as only a held request does.
func TestTakeOfMoreThanTheBurst(t *testing.T) {
	for _, tc := range []struct {
		cost int64
		want ratelimit.Reason
	}{
		{3, ""},
		{4, ratelimit.ReasonExceedsBurst},
		{33, ratelimit.ReasonExceedsBurst},
		{34, ratelimit.ReasonExceedsBurst},
		{math.MaxInt64, ratelimit.ReasonExceedsBurst},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{patient("r", "3 per second; 100 per day", 10*time.Second)}})
			key := ratelimit.UserKey(strings.Repeat("a", int(min(tc.cost, 100))))
			d := take(t, l, "r", key, tc.cost)
			assert.Equal(t, tc.want, d.Reason, "cost %d", tc.cost)
			assert.Equal(t, tc.want == "", d.Allowed)
			assert.Zero(t, d.RetryAfter)
		})
	}
}

// Take takes from all buckets of a rule, or from none. The decision is the decision of the
// strictest limit.
func TestTakeIsAllOrNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("r", "3 per minute; 4 per hour")}})
		minute := ratelimit.Decision{
			Allowed: true, Rule: "r", Mode: ratelimit.Enforce, Limit: ratelimit.Limit{Count: 3, Period: time.Minute, Burst: 3},
			Key: client(),
		}
		hour := minute
		hour.Limit = ratelimit.Limit{Count: 4, Period: time.Hour, Burst: 4}

		minute.Remaining, minute.ResetAfter = 1, 40*time.Second
		assert.Equal(t, minute, take(t, l, "r", client(), 2))
		time.Sleep(time.Minute)
		hour.Allowed, hour.Reason, hour.Remaining = false, ratelimit.ReasonLimit, 2
		hour.RetryAfter, hour.ResetAfter = 14*time.Minute, 29*time.Minute
		assert.Equal(t, hour, take(t, l, "r", client(), 3))
		assert.Equal(t, hour, take(t, l, "r", client(), 3), "nothing was taken")
		hour.Allowed, hour.Reason, hour.RetryAfter = true, "", 0
		hour.Remaining, hour.ResetAfter = 0, 59*time.Minute
		assert.Equal(t, hour, take(t, l, "r", client(), 2))
	})
}

// Key, Cost, Skip and InFlight of a rule need a request, so Take ignores them.
func TestTakeIgnoresWhatNeedsARequest(t *testing.T) {
	t.Parallel()
	r := rule("r", "3 per hour")
	r.Key = ratelimit.KeyFunc(func(*http.Request) (ratelimit.Key, error) { panic("Key") })
	r.Cost = func(*http.Request) int64 { panic("Cost") }
	r.Skip = func(*http.Request) bool { panic("Skip") }
	r.Methods = []string{"POST"}
	r.InFlight = 1
	r.OnMissingKey = ratelimit.DenyRequest
	l := newLimiter(t, ratelimit.Config{Routes: map[string][]ratelimit.Rule{"/x": {r}}})
	assert.Equal(t, []bool{true, true, true, false}, []bool{
		take(t, l, "r", client(), 1).Allowed, take(t, l, "r", client(), 1).Allowed, take(t, l, "r", client(), 1).Allowed,
		take(t, l, "r", client(), 1).Allowed,
	})
}

// Take counts by any key, with any Key of the rule. Keys of different kinds are different.
func TestTakeByAnyKey(t *testing.T) {
	t.Parallel()
	l := newLimiter(t, ratelimit.Config{
		Rules:   []ratelimit.Rule{rule("r", "1 per hour")},
		Budgets: []ratelimit.Budget{{Name: "b", Limits: ratelimit.MustParse("1 per hour")}},
	})
	for _, key := range []ratelimit.Key{
		client(), ratelimit.UserKey("192.0.2.1"), ratelimit.UserKey("alice"), ratelimit.UserKey("Alice"),
		ratelimit.ValueKey("peer", "alice"),
		ratelimit.ValueKey("tenant", "alice"),
	} {
		for _, name := range []string{"r", "b"} {
			d := take(t, l, name, key, 1)
			assert.Equal(t, []any{true, key}, []any{d.Allowed, d.Key}, "%s %v", name, key)
			d = take(t, l, name, key, 1)
			assert.Equal(t, []any{false, key}, []any{d.Allowed, d.Key}, "%s %v", name, key)
		}
	}
	assert.Equal(t, http.StatusTooManyRequests, serve(l.Handler(ok), with()).Code, "requests and Take share a bucket")
}

// A Take of nothing is always allowed, and leaves no trace.
func TestTakeOfNoTokens(t *testing.T) {
	t.Parallel()
	memory := ratelimit.NewMemoryStore(ratelimit.MemoryConfig{})
	l := newLimiter(t, ratelimit.Config{Store: memory, Rules: []ratelimit.Rule{rule("r", "2 per hour")}})
	assert.Equal(t, ratelimit.Decision{
		Allowed: true, Rule: "r", Mode: ratelimit.Enforce, Limit: ratelimit.Limit{Count: 2, Period: time.Hour, Burst: 2},
		Key: client(), Remaining: 2,
	}, take(t, l, "r", client(), 0))
	assert.Zero(t, memory.Stats().Keys)
	assert.True(t, take(t, l, "r", client(), 2).Allowed)
	assert.True(t, take(t, l, "r", client(), 0).Allowed, "also from an empty bucket")
}

// A store without room decides on a shared bucket, and the decision says so.
func TestTakeFromAFullStore(t *testing.T) {
	t.Parallel()
	memory := ratelimit.NewMemoryStore(ratelimit.MemoryConfig{MaxKeys: 1})
	l := newLimiter(t, ratelimit.Config{Store: memory, Rules: []ratelimit.Rule{rule("r", "2 per hour")}})
	assert.False(t, take(t, l, "r", ratelimit.UserKey("first"), 1).Overflow)
	var got [][2]bool
	for _, name := range []string{"second", "third", "fourth", "first"} {
		d := take(t, l, "r", ratelimit.UserKey(name), 1)
		got = append(got, [2]bool{d.Allowed, d.Overflow})
		assert.Equal(t, ratelimit.UserKey(name), d.Key)
	}
	assert.Equal(t, [][2]bool{{true, true}, {true, true}, {false, true}, {true, false}}, got)
}

// Costs of any size take at most the tokens that there are, and refunds give at most the burst.
func TestGreatCostsAndRefunds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("r", "5 per hour"), patient("queue", "5 per hour", time.Hour)}})
		for _, name := range []string{"r", "queue"} {
			assert.True(t, take(t, l, name, client(), 3).Allowed)
			for _, cost := range []int64{6, math.MaxInt64 - 1, math.MaxInt64} {
				d := take(t, l, name, client(), cost)
				assert.Equal(t, []any{false, ratelimit.ReasonExceedsBurst, int64(2), time.Duration(0)},
					[]any{d.Allowed, d.Reason, d.Remaining, d.RetryAfter}, "%s, cost %d", name, cost)
			}
			require.NoError(t, l.Refund(t.Context(), name, client(), 1))
			d, err := l.Peek(t.Context(), name, client())
			require.NoError(t, err)
			assert.Equal(t, []any{int64(3), 24 * time.Minute}, []any{d.Remaining, d.ResetAfter}, name)
			for _, n := range []int64{3, math.MaxInt64, 0} {
				require.NoError(t, l.Refund(t.Context(), name, client(), n))
				d, err := l.Peek(t.Context(), name, client())
				require.NoError(t, err)
				assert.Equal(t, []any{int64(5), time.Duration(0)}, []any{d.Remaining, d.ResetAfter}, name)
			}
			assert.True(t, take(t, l, name, client(), 5).Allowed)
			assert.False(t, take(t, l, name, client(), 1).Allowed)
			require.NoError(t, l.Reset(t.Context(), name, client()))
			assert.True(t, take(t, l, name, client(), 5).Allowed)
			assert.False(t, take(t, l, name, client(), 1).Allowed)
		}
	})
}

// Take, Peek, Refund and Reset report a misuse, and change nothing then.
func TestTakeErrors(t *testing.T) {
	t.Parallel()
	l := newLimiter(t, ratelimit.Config{
		Rules:   []ratelimit.Rule{rule("fast", "2 per hour"), patient("queue", "2 per hour", time.Hour)},
		Budgets: []ratelimit.Budget{{Name: "budget", Limits: ratelimit.MustParse("2 per hour")}},
	})
	const want = ": want a kind, a key and no negative cost"
	for _, name := range []string{"fast", "queue", "budget"} {
		invalid := `ratelimit: rule "` + name + `": store: invalid op: `
		for _, tc := range []struct {
			name string
			rule string
			kind store.Kind
			key  ratelimit.Key
			cost int64
			is   error
			text string
		}{
			{"take by no rule", "Fast", store.Take, client(), 1, ratelimit.ErrNoRule, `ratelimit: no such rule: "Fast"`},
			{"take without a name", "", store.Take, client(), 1, ratelimit.ErrNoRule, `ratelimit: no such rule: ""`},
			{"peek by no rule", "x", store.Peek, client(), 1, ratelimit.ErrNoRule, `ratelimit: no such rule: "x"`},
			{"refund by no rule", "x", store.Refund, client(), 1, ratelimit.ErrNoRule, `ratelimit: no such rule: "x"`},
			{"reset by no rule", "x", store.Reset, client(), 0, ratelimit.ErrNoRule, `ratelimit: no such rule: "x"`},
			{"take without a key", name, store.Take, ratelimit.Key{}, 1, store.ErrInvalidOp, invalid + "Take, cost 1, key none" + want},
			{"peek without a key", name, store.Peek, ratelimit.Key{}, 1, store.ErrInvalidOp, invalid + "Peek, cost 1, key none" + want},
			{
				"refund without a key", name, store.Refund,
				ratelimit.Key{},
				1, store.ErrInvalidOp,
				invalid + "Refund, cost 1, key none" + want,
			},
			{"reset without a key", name, store.Reset, ratelimit.Key{}, 0, store.ErrInvalidOp, invalid + "Reset, cost 0, key none" + want},
			{"a negative take", name, store.Take, client(), -1, store.ErrInvalidOp, invalid + "Take, cost -1, key addr:192.0.2.1" + want},
			{
				"the most negative take", name, store.Take, client(), math.MinInt64, store.ErrInvalidOp,
				invalid + "Take, cost -9223372036854775808, key addr:192.0.2.1" + want,
			},
			{
				"a negative refund", name, store.Refund, client(), -1, store.ErrInvalidOp,
				invalid + "Refund, cost -1, key addr:192.0.2.1" + want,
			},
		} {
			d, err := change(t, l, ratelimit.Change{Kind: tc.kind, Rule: tc.rule, Key: tc.key, Cost: tc.cost})
			require.ErrorIs(t, err, tc.is, tc.name)
			require.EqualError(t, err, tc.text, tc.name)
			assert.Equal(t, ratelimit.Decision{}, d, tc.name)
		}
		assert.Equal(t, int64(2), remaining(t, l, name))
	}
}

func TestDeniedErrorText(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		decision ratelimit.Decision
		want     string
	}{
		{
			ratelimit.Decision{Rule: "emails", Reason: ratelimit.ReasonLimit, RetryAfter: 90 * time.Second},
			`ratelimit: rule "emails": denied: limit, retry after 1m30s`,
		},
		{ratelimit.Decision{Rule: "emails", Reason: ratelimit.ReasonExceedsBurst}, `ratelimit: rule "emails": denied: exceeds-burst`},
		{
			ratelimit.Decision{Rule: "a b", Reason: ratelimit.ReasonStore, RetryAfter: time.Second},
			`ratelimit: rule "a b": denied: store, retry after 1s`,
		},
	} {
		require.EqualError(t, &ratelimit.DeniedError{Decision: tc.decision}, tc.want)
	}
}
