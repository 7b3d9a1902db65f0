package ratelimit_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/storefake"
)

// A tenants is a Keyer with a method of its pointer.
type tenants struct{ key ratelimit.Key }

func (t *tenants) Key(*http.Request) (ratelimit.Key, error) { return t.key, nil }

// New finds rules that would silently limit nothing.
func TestRulesThatLimitNothing(t *testing.T) {
	const noUnit = "limit 0: 100 per 60ns: a bucket that is full again in 60ns denies nothing: " +
		"want a period with a unit, such as time.Minute"
	hundred := ratelimit.Limits{ratelimit.Per(100, 60)}
	for want, rule := range map[string]ratelimit.Rule{
		"Limits: " + noUnit: {Limits: hundred},
		"Limits: none, so that no Cost, CountOnly or ResponseCost counts: want Limits too": {
			InFlight: 2, CountOnly: ratelimit.Failures,
		},
		"Block: no Limits that a key could exceed, and no When: want one of them": {
			InFlight: 2, Block: &ratelimit.Block{After: ratelimit.Per(10, time.Minute)},
		},
		"Block.After: no number of violations that blocks, so that its times mean nothing: want for example Per(10, time.Minute)": {
			Limits: ratelimit.MustParse("10 per minute"), Block: &ratelimit.Block{For: time.Hour},
		},
		"Block.After: 10 per 60ns blocks no key: want a period with a unit, such as time.Minute": {
			Limits: ratelimit.MustParse("10 per minute"), Block: &ratelimit.Block{After: ratelimit.Per(10, 60)},
		},
		"Key: a nil *ratelimit_test.tenants: want what its constructor returns": {
			Limits: ratelimit.MustParse("10 per minute"), Key: (*tenants)(nil),
		},
	} {
		rule.Name = "r"
		_, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{rule}})
		require.EqualError(t, err, "ratelimit: Rules[0]."+want)
	}
	_, err := ratelimit.New(ratelimit.Config{Budgets: []ratelimit.Budget{{Name: "b", Limits: hundred}}})
	require.EqualError(t, err, "ratelimit: Budgets[0].Limits: "+noUnit)
	for _, l := range []ratelimit.Limit{
		{Count: 1, Period: 5 * time.Microsecond}, {Count: 1, Period: time.Nanosecond, Burst: 65_536}, {Count: 1e9, Period: 100, Burst: 10},
	} {
		_, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{{Name: "r", Limits: ratelimit.Limits{l}}}})
		assert.NoError(t, err, "%v", l)
	}
}

// A nil pointer of a constructor whose error was not looked at.
func TestNilStores(t *testing.T) {
	r := rule("r", "10 per minute")
	for want, store := range map[string]ratelimit.Store{
		"*ratelimit.MemoryStore": (*ratelimit.MemoryStore)(nil), "*storefake.Mortal": (*storefake.Mortal)(nil),
	} {
		_, err := ratelimit.New(ratelimit.Config{
			Store: store, OnStoreFailure: ratelimit.FailOpen, Rules: []ratelimit.Rule{r},
		})
		require.EqualError(t, err, "ratelimit: Store: a nil "+want+": want what its constructor returns, or no Store at all")
	}
}
