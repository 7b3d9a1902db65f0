package verdict

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/internal/pace"
	"github.com/ratelimit-go/ratelimit/internal/respond"
	"github.com/ratelimit-go/ratelimit/store"
)

var twoLimits = []pace.Limit{
	{Count: 10, Period: time.Second, Burst: 20},
	{Count: 100, Period: time.Minute},
}

func limitOf(t *testing.T, place int, count int64, period time.Duration, burst int64) *store.Limit {
	t.Helper()
	l, err := store.NewLimit("api", place, count, period, burst)
	require.NoError(t, err)
	return l.Versioned()
}

func TestPlanOfTwoLimits(t *testing.T) {
	r := newRule("api")
	plan := NewPlan(r, twoLimits)
	assert.Equal(t, `"api-1";q=10;w=1, "api-2";q=100;w=60`, plan.Field)
	assert.Equal(t, []Policy{{
		Limit: limitOf(t, 1, 10, time.Second, 20),
		Policy: respond.Policy{
			Member: `"api-1"`, Level: `"api-1";r=`, Field: `"api-1";q=10;w=1`, Quota: 10, Window: 1,
		},
		Rule:  r,
		Queue: pace.Queue{Pace: pace.Pace{Count: 1, Period: 100_000_000}, Burst: 20},
		Near:  4,
	}, {
		Limit: limitOf(t, 0, 100, time.Minute, 100), // the slowest has place 0
		Policy: respond.Policy{
			Member: `"api-2"`, Level: `"api-2";r=`, Field: `"api-2";q=100;w=60`, Quota: 100, Window: 60,
		},
		Rule:  r,
		Queue: pace.Queue{Pace: pace.Pace{Count: 1, Period: 600_000_000}, Burst: 100},
		Near:  20,
	}}, plan.Policies)
}

func TestPlanOfOneLimitHasTheNameOfTheRule(t *testing.T) {
	plan := NewPlan(newRule("api"), []pace.Limit{tenPerMinute})
	assert.Equal(t, `"api";q=10;w=60`, plan.Field)
	assert.Equal(t, &Plan{}, NewPlan(newRule("api"), nil))
}

func TestPlanOfAQuietRule(t *testing.T) {
	r := newRule("api")
	r.Quiet = true
	plan := NewPlan(r, twoLimits)
	assert.Empty(t, plan.Field)
	assert.True(t, plan.Policies[0].Quiet)
	assert.True(t, plan.Policies[1].Quiet)
}

// The bucket has room for the tokens of two seconds. What a client sees does not.
func TestPlanOfARuleThatHoldsRequests(t *testing.T) {
	r := newRule("api")
	r.MaxWait = 2 * time.Second
	plan := NewPlan(r, twoLimits)
	for i, want := range []struct{ burst, extra, near int64 }{{40, 20, 4}, {103, 3, 20}} {
		p := plan.Policies[i]
		assert.Equal(t, want.burst, p.Burst())
		assert.Equal(t, want.burst, p.Queue.Burst)
		assert.Equal(t, want.extra, p.Queue.Extra)
		assert.Equal(t, want.near, p.Near)
	}
	assert.Equal(t, pace.Limit{Count: 10, Period: time.Second, Burst: 20}, plan.Policies[0].Shown())
	assert.Equal(t, pace.Limit{Count: 100, Period: time.Minute, Burst: 100}, plan.Policies[1].Shown())
}

func TestPlanWithThePartOfAnInstance(t *testing.T) {
	r := newRule("api")
	r.OnFail, r.Parts = Memory, 4
	plan := NewPlan(r, twoLimits)
	assert.Equal(t, `"api-1";q=10;w=1, "api-2";q=100;w=60`, plan.Field)
	for i, want := range []struct {
		limit *store.Limit
		field string
		near  int64
	}{
		{limitOf(t, 1, 10, 4*time.Second, 5), `"api-1";q=10;w=4`, 1},
		{limitOf(t, 0, 25, time.Minute, 25), `"api-2";q=25;w=60`, 5},
	} {
		p := plan.Policies[i]
		assert.False(t, p.Here)
		local := p.Local
		require.NotNil(t, local)
		assert.True(t, local.Here)
		assert.Nil(t, local.Local)
		assert.Same(t, r, local.Rule)
		assert.Equal(t, want.limit, local.Limit)
		assert.Equal(t, want.field, local.Field)
		assert.Equal(t, want.near, local.Near)
	}
}

func TestEveryPlace(t *testing.T) {
	r := newRule("api")
	every := EveryPlace(r, 3)
	require.Len(t, every.Policies, 3)
	assert.Empty(t, every.Field)
	for i, member := range []string{`"api-1"`, `"api-2"`, `"api-3"`} {
		assert.Equal(t, limitOf(t, i, 1, time.Second, 1), every.Policies[i].Limit)
		assert.Equal(t, member, every.Policies[i].Member)
	}
	assert.Equal(t, &Plan{}, EveryPlace(r, 0))
}

func TestNearLimitIsRoundedUp(t *testing.T) {
	for _, test := range []struct {
		near        float64
		burst, want int64
	}{
		{0, 100, 20},
		{0, 1, 1},
		{0, 5, 1},
		{0, 6, 2},
		{0.5, 5, 3},
		{0.5, 6, 3},
		{1, 7, 7},
	} {
		r := Rule{Near: test.near}
		assert.Equal(t, test.want, r.NearLimit(test.burst), "%v of %d", test.near, test.burst)
	}
}

func TestHad(t *testing.T) {
	p := policyOf(newRule("api"), tenPerMinute)
	op := store.Op{Kind: store.Peek, Cost: 5, Result: store.Result{Allowed: true}}
	assert.Equal(t, int64(5), p.Had(&op))
	op.Result = store.Result{RetryAfter: 12 * time.Second} // two tokens are missing
	assert.Equal(t, int64(3), p.Had(&op))
}
