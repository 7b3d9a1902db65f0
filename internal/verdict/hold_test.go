package verdict

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/ratelimit-go/ratelimit/internal/pace"
	"github.com/ratelimit-go/ratelimit/store"
)

// held returns a policy of ten tokens per second and a burst of 5, whose bucket has room for 20
// more.
func held() *Policy {
	r := newRule("api")
	r.MaxWait = 2 * time.Second
	return policyOf(r, pace.Limit{Count: 10, Period: time.Second, Burst: 5})
}

func TestShowWaits(t *testing.T) {
	const ms = time.Millisecond
	for _, test := range []struct {
		name      string
		kind      store.Kind
		cost      int64
		result    store.Result
		wait      time.Duration
		left      int64 // of the Hold
		remaining int64 // of the answer
	}{
		{"tokens of the burst", store.Take, 1, store.Result{Allowed: true, Remaining: 22, ResetAfter: 300 * ms}, 0, 0, 2},
		{"the last of the burst", store.Take, 1, store.Result{Allowed: true, Remaining: 20, ResetAfter: 500 * ms}, 0, 0, 0},
		{"tokens that flow in later", store.Take, 1, store.Result{Allowed: true, Remaining: 17, ResetAfter: 800 * ms}, 300 * ms, -3, 0},
		{"a Peek that would wait", store.Peek, 3, store.Result{Allowed: true, Remaining: 21, ResetAfter: 400 * ms}, 200 * ms, 1, 1},
		{"a Peek that would not", store.Peek, 1, store.Result{Allowed: true, Remaining: 21, ResetAfter: 400 * ms}, 0, 0, 1},
		{"tokens that flow in at once", store.Take, 1, store.Result{Allowed: true, Remaining: 19, ResetAfter: 500*ms + 1}, 1, -1, 0},
		{"a denial", store.Take, 9, store.Result{Remaining: 8, ResetAfter: 1700 * ms, RetryAfter: 100 * ms}, 0, 0, 0},
		{"no cost", store.Take, 0, store.Result{Allowed: true, Remaining: 17, ResetAfter: 800 * ms}, 0, 0, 0},
		{"a refund", store.Refund, 1, store.Result{Allowed: true, Remaining: 17, ResetAfter: 800 * ms}, 0, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := answered([]*Policy{held()}, test.result)
			v.Ops[0].Kind, v.Ops[0].Cost = test.kind, test.cost
			holds, longest := v.ShowWaits(nil)
			assert.Equal(t, test.wait, longest)
			if test.wait == 0 {
				assert.Empty(t, holds)
			} else {
				assert.Equal(t, []Hold{{0, test.wait, test.left}}, holds)
			}
			want := test.result
			want.Remaining = test.remaining
			assert.Equal(t, want, v.Ops[0].Result)
		})
	}
}

func TestShowWaitsOfSeveralLimits(t *testing.T) {
	late := func(n int64) store.Result {
		return store.Result{Allowed: true, Remaining: 20 - n, ResetAfter: time.Duration(5+n) * 100 * time.Millisecond}
	}
	free := policyOf(newRule("free"), tenPerMinute)
	left := store.Result{Allowed: true, Remaining: 7, ResetAfter: 18 * time.Second}
	policies := []*Policy{free, held(), held(), held()}
	v := answered(policies, left, late(2), late(6), late(1))
	before := Hold{Op: 9}
	holds, longest := v.ShowWaits([]Hold{before})
	assert.Equal(t, 600*time.Millisecond, longest)
	assert.Equal(t, []Hold{
		before, {1, 200 * time.Millisecond, -2}, {2, 600 * time.Millisecond, -6}, {3, 100 * time.Millisecond, -1},
	}, holds)
	assert.Equal(t, left, v.Ops[0].Result)
}

// Room for one token is room.
func TestShowWaitsWithRoomForOneToken(t *testing.T) {
	r := newRule("api")
	r.MaxWait = 100 * time.Millisecond
	p := policyOf(r, pace.Limit{Count: 10, Period: time.Second, Burst: 5})
	v := answered([]*Policy{p}, store.Result{Allowed: true, ResetAfter: 600 * time.Millisecond})
	holds, longest := v.ShowWaits(nil)
	assert.Equal(t, 100*time.Millisecond, longest)
	assert.Equal(t, []Hold{{0, 100 * time.Millisecond, -1}}, holds)
}

// Where a fallback allows or denies everything, no request is held.
func TestShowWaitsNeedsADecision(t *testing.T) {
	result := store.Result{Allowed: true, Remaining: 17, ResetAfter: 800 * time.Millisecond}
	for failed, want := range map[Fallback]time.Duration{
		"": 300 * time.Millisecond, Memory: 300 * time.Millisecond, Open: 0, Closed: 0,
	} {
		v := answered([]*Policy{held()}, result)
		v.Failed = failed
		holds, longest := v.ShowWaits([]Hold{{Op: 9}})
		assert.Equal(t, want, longest, failed)
		if want == 0 {
			assert.Equal(t, []Hold{{Op: 9}}, holds)
			assert.Equal(t, result, v.Ops[0].Result)
		}
	}
}

// DenyHeld adds the refunded tokens to the answers, and not to a Peek.
func TestDenyHeld(t *testing.T) {
	const ms = time.Millisecond
	policies := []*Policy{held(), policyOf(newRule("free"), tenPerMinute), held(), held()}
	v := answered(policies,
		store.Result{Allowed: true, ResetAfter: 800 * ms},
		store.Result{Allowed: true, Remaining: 4, ResetAfter: 36 * time.Second},
		store.Result{Allowed: true, Remaining: 1, ResetAfter: 400 * ms},
		store.Result{Allowed: true, ResetAfter: 200 * ms},
	)
	v.Ops[0].Cost, v.Ops[1].Cost, v.Ops[3].Cost = 5, 2, 3
	v.Ops[2].Kind, v.Ops[2].Cost = store.Peek, 3
	v.DenyHeld([]Hold{{0, 300 * ms, -3}, {2, 200 * ms, 1}, {3, 700 * ms, -7}})
	var got []store.Result
	for _, op := range v.Ops {
		got = append(got, op.Result)
	}
	assert.Equal(t, []store.Result{
		{RetryAfter: 300 * ms, Remaining: 2, ResetAfter: 300 * ms},
		{Allowed: true, Remaining: 6, ResetAfter: 24 * time.Second},
		{RetryAfter: 200 * ms, Remaining: 1, ResetAfter: 400 * ms},
		{RetryAfter: 700 * ms},
	}, got)
}
