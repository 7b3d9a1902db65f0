package verdict

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/internal/pace"
	"github.com/ratelimit-go/ratelimit/internal/tally"
	"github.com/ratelimit-go/ratelimit/store"
)

// tenPerMinute gives a token every six seconds.
var tenPerMinute = pace.Limit{Count: 10, Period: time.Minute}

func newRule(name string) *Rule {
	return &Rule{Name: name, OnFail: Open, Parts: 1, Tally: new(tally.Rule)}
}

// policyOf returns the policy of the only limit of r.
func policyOf(r *Rule, l pace.Limit) *Policy { return &NewPlan(r, []pace.Limit{l}).Policies[0] }

// answered returns the verdict of a store that gave these answers to Takes of one token.
func answered(policies []*Policy, results ...store.Result) *Verdict {
	v := &Verdict{Outcome: new(Outcome)}
	for i, p := range policies {
		v.AddOne(p, store.Key{}, 1, store.Take)
		v.Ops[i].Result = results[i]
	}
	return v
}

func alice(t *testing.T) (k store.Key) {
	t.Helper()
	require.NoError(t, k.UnmarshalText([]byte("user:alice")))
	return k
}
