package tokenbudget_test

import (
	"errors"
	"math"
	"strings"
	"testing"

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
		`Budgets[1].Limits: none: want at least one`,
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
