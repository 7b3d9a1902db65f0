package verdict

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/internal/pace"
	"github.com/ratelimit-go/ratelimit/store"
)

func fallbackOf(name string, f Fallback) *Policy {
	r := newRule(name)
	r.OnFail, r.Parts = f, 5
	return policyOf(r, tenPerMinute)
}

func TestChoice(t *testing.T) {
	for _, test := range []struct {
		name  string
		rules []Fallback
		want  Fallback
	}{
		{"no rule", nil, Open},
		{"open", []Fallback{Open, Open}, Open},
		{"memory before open", []Fallback{Memory, Open}, Memory},
		{"memory after open", []Fallback{Open, Memory}, Memory},
		{"closed before memory", []Fallback{Closed, Memory}, Closed},
		{"closed after memory", []Fallback{Open, Memory, Closed}, Closed},
	} {
		v := Verdict{Outcome: new(Outcome)}
		for _, f := range test.rules {
			v.From = append(v.From, fallbackOf("api", f))
		}
		assert.Equal(t, test.want, v.Choice(), test.name)
	}
	for policy, want := range map[Fallback]Fallback{Open: Closed, Memory: Memory, Closed: Closed} {
		v := Verdict{Outcome: new(Outcome), Ops: make([]store.Op, manyOps)}
		v.From = []*Policy{fallbackOf("api", policy)}
		assert.Equal(t, policy, v.Choice(), "as many as a store decides")
		v.Ops, v.From = make([]store.Op, manyOps+1), append(v.From, fallbackOf("api", Memory))
		assert.Equal(t, want, v.Choice(), "more than a store decides")
	}
}

func TestDecideHere(t *testing.T) {
	open, memory, own := fallbackOf("open", Open), fallbackOf("memory", Memory), fallbackOf("own", Memory)
	own.Local = nil // it is enforced as it is
	last := fallbackOf("last", Memory)
	v := &Verdict{Outcome: &Outcome{Failed: Memory}}
	for _, p := range []*Policy{memory, open, own, last} {
		v.AddOne(p, alice(t), 2, store.Take)
	}
	v.DecideHere(func(ops []store.Op) {
		require.Len(t, ops, 3)
		assert.Equal(t, []*store.Limit{memory.Local.Limit, own.Limit, last.Local.Limit},
			[]*store.Limit{ops[0].Limit, ops[1].Limit, ops[2].Limit})
		for i := range ops {
			assert.Equal(t, alice(t), ops[i].Key)
			assert.Equal(t, int64(2), ops[i].Cost)
			ops[i].Result.Remaining = int64(10 + i)
		}
	})
	assert.Equal(t, int64(2), memory.Local.Burst(), "a fifth")
	assert.Same(t, memory.Local, v.From[0])
	assert.Same(t, own, v.From[2])
	assert.Same(t, last.Local, v.From[3])
	assert.Same(t, memory.Local.Limit, v.Ops[0].Limit)
	assert.Same(t, own.Limit, v.Ops[2].Limit)
	assert.Equal(t, store.Result{Remaining: 10}, v.Ops[0].Result)
	assert.Equal(t, store.Result{Remaining: 11}, v.Ops[2].Result)
	assert.Equal(t, store.Result{Remaining: 12}, v.Ops[3].Result)

	assert.Equal(t, store.Result{Allowed: true, Remaining: math.MaxInt64}, v.Ops[1].Result)
	assert.Zero(t, v.Ops[1].Cost)
	assert.Same(t, open.Rule, v.From[1].Rule)
	assert.True(t, v.From[1].Quiet, "fields do not show a limit that nothing enforces")
	assert.False(t, open.Quiet, "the plan is immutable")
}

func TestTaken(t *testing.T) {
	open, memory := fallbackOf("open", Open), fallbackOf("memory", Memory)
	decided := func() *Verdict {
		return answered([]*Policy{open, memory, memory.Local},
			store.Result{Remaining: 1}, store.Result{Remaining: 2}, store.Result{Remaining: 3})
	}
	v := decided()
	assert.Equal(t, Charged{v.Ops, v.From}, v.Taken())

	v = decided()
	v.Failed = Memory
	assert.Equal(t, Charged{v.Ops[2:], v.From[2:]}, v.Taken(), "only what this process enforces")

	for _, failed := range []Fallback{Open, Closed} {
		v = decided()
		v.Failed = failed
		assert.Equal(t, Charged{}, v.Taken(), failed)
	}
}

func TestAdd(t *testing.T) {
	v := &Verdict{Outcome: new(Outcome)}
	first := policyOf(newRule("first"), tenPerMinute)
	v.AddOne(first, alice(t), 3, store.TakeUpTo)
	plan := NewPlan(newRule("api"), []pace.Limit{tenPerMinute, {Count: 3, Period: time.Second}})
	v.Add(plan, alice(t), 7, store.Peek)
	assert.Equal(t, []store.Op{
		{Kind: store.TakeUpTo, Limit: first.Limit, Key: alice(t), Cost: 3},
		{Kind: store.Peek, Limit: plan.Policies[0].Limit, Key: alice(t), Cost: 7},
		{Kind: store.Peek, Limit: plan.Policies[1].Limit, Key: alice(t), Cost: 7},
	}, v.Ops)
	require.Len(t, v.From, 3)
	assert.Same(t, first, v.From[0])
	assert.Same(t, &plan.Policies[0], v.From[1])
	assert.Same(t, &plan.Policies[1], v.From[2])
}
