package tokenbudget_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/tokenbudget"
)

func TestEveryMistakeIsReported(t *testing.T) {
	limits := ratelimit.MustParse("10 per minute; 20 per 60 seconds burst 5")
	_, err := tokenbudget.New(tokenbudget.Config{
		Budgets: []tokenbudget.Budget{
			{Name: "a", Limits: limits, Key: ratelimit.Global("g"), MaxDebt: -1},
			{Name: "a", OnMissingKey: "ignore"},
			{Name: strings.Repeat("b", 41)},
		},
		Limiter:       ratelimit.Config{Rules: []ratelimit.Rule{{}}},
		Overrun:       "paid",
		BytesPerToken: -1, Output: -1, MaxBody: 2 << 30,
		CacheRead: math.NaN(), CacheWrite: 101,
		Dialect: "other",
	})
	want := []string{
		`Budgets[0].Limits: two limits per 1m0s: want different periods`,
		`Budgets[0].MaxDebt: -1: want 1 to 2147483648, or 0 for the burst of the limit`,
		`Budgets[1].Name: "a" is there twice: want another name`,
		`Budgets[1].Key: nil: want a Keyer, such as ratelimit.ByUser`,
		`Budgets[1].Limits: 0 limits: want 1 to 16`,
		`Budgets[1].OnMissingKey: "ignore": want share, deny or skip`,
		`Budgets[2].Name: 41 characters: want 1 to 40`,
		`Limiter: it has Rules, Routes or Budgets: want none, and write them in Budgets`,
		`Overrun: "paid": want "owed" or "forgiven"`,
		`Dialect: "other": want "openai", "anthropic" or nothing`,
		`BytesPerToken: -1: want 1 to 1000, or 0 for 3`,
		`Output: -1: want 1 to 2147483648, or 0 for 1024`,
		`MaxBody: 2147483648: want 1 to 1073741824, or 0 for 10485760`,
		`CacheRead: NaN: want at most 100, 0 for 1, or a negative number for nothing`,
		`CacheWrite: 101: want`,
	}
	require.Error(t, err)
	for _, text := range want {
		assert.ErrorContains(t, err, text)
	}
	var first *ratelimit.ConfigError
	assert.True(t, errors.As(err, &first))

	_, err = tokenbudget.New(tokenbudget.Config{})
	assert.ErrorContains(t, err, "Budgets: 0 budgets: want 1 to 16")
}

// Mistakes that only the limiter finds are told as mistakes in the Config.
func TestMistakesInLimits(t *testing.T) {
	bad := func(limits ...ratelimit.Limit) error {
		cfg := single("10 per minute; 100 per day")
		cfg.Limiter.NearLimit = 7
		cfg.Budgets = append(cfg.Budgets, tokenbudget.Budget{Name: "b", Limits: limits, Key: ratelimit.Global("g")})
		g, err := tokenbudget.New(cfg)
		assert.Nil(t, g)
		return err
	}
	good := ratelimit.MustParse("10 per hour")[0]
	assert.EqualError(t, bad(good, ratelimit.Limit{Count: -1, Period: time.Minute}),
		"ratelimit: Limiter.NearLimit: 7: want a part of a burst, less than 1, or 0 for 0.2\n"+
			"ratelimit: Budgets[1].Limits: limit 1: count -1: want at least 1")
	assert.EqualError(t, bad(good, ratelimit.MustParse("unlimited")[0]),
		"ratelimit: Budgets[1].Limits: limit 1: unlimited: want a number of tokens, or no such budget")
	var many []ratelimit.Limit
	for i := range 17 {
		many = append(many, ratelimit.Limit{Count: 10, Period: time.Duration(i+1) * time.Minute})
	}
	assert.EqualError(t, bad(many...), "ratelimit: Budgets[1].Limits: 17 limits: want 1 to 16")

	cfg := single("10 per minute")
	cfg.Budgets[0].Name = `"`
	_, err := tokenbudget.New(cfg)
	assert.EqualError(t, err,
		`ratelimit: Budgets[0].Name: "\"": want printable ASCII characters without quotes and backslashes`)
}
