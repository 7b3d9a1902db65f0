package ratelimit_test

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/store"
)

// mistakeIn returns the error of New for a rule with the limit l.
func mistakeIn(l ratelimit.Limit) error {
	_, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{{Name: "r", Limits: ratelimit.Limits{l}}}})
	return err
}

func TestLimitTextInJSON(t *testing.T) {
	var cfg struct {
		One  ratelimit.Limit
		Many ratelimit.Limits
	}
	require.NoError(t, json.Unmarshal([]byte(`{"One":"5/min","Many":"1/s; 10/min"}`), &cfg))
	assert.Equal(t, ratelimit.Per(5, time.Minute), cfg.One)
	out, err := json.Marshal(cfg)
	require.NoError(t, err)
	assert.JSONEq(t, `{"One":"5 per minute","Many":"1 per second; 10 per minute"}`, string(out))
	require.Error(t, json.Unmarshal([]byte(`{"One":"5/min;6/h"}`), &cfg))
	require.Error(t, json.Unmarshal([]byte(`{"One":"x"}`), &cfg))
	require.Error(t, json.Unmarshal([]byte(`{"Many":"x"}`), &cfg))
	_, err = ratelimit.Limits{}.MarshalText()
	require.Error(t, err)
	_, err = ratelimit.Limits{{}}.MarshalText()
	require.Error(t, err)
	assert.Equal(t, "invalid limit (0 per 0s burst 0)", ratelimit.Limit{}.String())
	assert.Equal(t, "2 per nanosecond burst 1", ratelimit.Limit{Count: 2, Period: 1, Burst: 1}.String())
}

func TestRates(t *testing.T) {
	for _, tc := range []struct {
		rate rate.Limit
		want string
	}{
		{10, "10 per second"},
		{rate.Every(100 * time.Millisecond), "10 per second"}, // the same rate, said more simply
		{100.0 / 60, "100 per minute burst 10"},
		{ratelimit.Per(7, 24*time.Hour).Rate(), "7 per day burst 10"},
		{ratelimit.Per(5, time.Hour).Rate(), "5 per hour burst 10"},
		{rate.Inf, "unlimited"},
	} {
		l, err := ratelimit.FromRate(tc.rate, 10)
		require.NoError(t, err)
		assert.Equal(t, tc.want, l.String())
	}
	odd, err := ratelimit.FromRate(math.Pi, 3)
	require.NoError(t, err)
	assert.InEpsilon(t, math.Pi, float64(odd.Rate()), 1e-8)
	assert.LessOrEqual(t, float64(odd.Rate()), math.Pi)
	for _, r := range []rate.Limit{0, -1, rate.Limit(math.NaN())} {
		_, err := ratelimit.FromRate(r, 1)
		require.Error(t, err)
	}
	_, err = ratelimit.FromRate(1, 0)
	require.Error(t, err)
	infinite, err := ratelimit.FromRate(rate.Limit(math.Inf(1)), 1)
	require.NoError(t, err)
	assert.Equal(t, "unlimited", infinite.String())
	for r, want := range map[rate.Limit]string{
		1e-300: "ratelimit: rate 1e-300 with a burst of 1: count 0: want at least 1",
		1e300:  "ratelimit: rate 1e+300 with a burst of 1: ",
	} {
		none, err := ratelimit.FromRate(r, 1)
		require.ErrorContains(t, err, want)
		assert.Zero(t, none)
	}
	for _, none := range []ratelimit.Limit{{}, {Count: 1}, {Count: 1, Period: -1}, {Count: -1, Period: 1}} {
		assert.Zero(t, none.Rate(), "a mistake allows nothing")
	}
	assert.Equal(t, rate.Inf, ratelimit.MustParse("unlimited")[0].Rate())
}

// Rates that no unit fits are one token in a number of nanoseconds, or cut to nine digits.
func TestFromRateWithoutAUnit(t *testing.T) {
	for every, want := range map[time.Duration]string{
		7 * time.Millisecond: "1 per 7 milliseconds", 7 * time.Nanosecond: "1 per 7 nanoseconds",
		13 * time.Microsecond: "1 per 13 microseconds",
	} {
		l, err := ratelimit.FromRate(rate.Every(every), 1)
		require.NoError(t, err)
		assert.Equal(t, want, l.String())
		parsed, err := ratelimit.Parse(l.String())
		require.NoError(t, err)
		assert.Equal(t, l.Rate(), parsed[0].Rate())
	}
}

func TestLimitsThatAreMistakes(t *testing.T) {
	for _, tc := range []struct {
		limit ratelimit.Limit
		want  string
	}{
		{ratelimit.Limit{}, "the zero Limit: want for example Per(100, time.Minute)"},
		{ratelimit.Limit{Count: 1}, "period 0s"},
		{ratelimit.Limit{Period: 1}, "count 0"},
		{ratelimit.Limit{Count: 1, Period: 1, Burst: -1}, "burst -1"},
		{ratelimit.Limit{Count: 1000, Period: math.MaxInt64, Burst: 1}, "period 2562047h47m16.854775807s: want at most 100 years"},
		{ratelimit.Limit{Count: 1, Period: 24 * time.Hour, Burst: 40_000}, "takes more than 100 years to fill: want a smaller burst"},
		{
			ratelimit.Limit{Count: 1, Period: 24 * time.Hour, Burst: math.MaxInt64},
			"takes more than 100 years to fill: want a smaller burst",
		},
	} {
		require.ErrorContains(t, mistakeIn(tc.limit), "ratelimit: Rules[0].Limits: limit 0: ")
		require.ErrorContains(t, mistakeIn(tc.limit), tc.want)
		_, err := tc.limit.MarshalText()
		require.ErrorContains(t, err, tc.want)
	}
	require.NoError(t, mistakeIn(ratelimit.MustParse("unlimited")[0]))
}

// A mistake suggests a number that is right.
func TestParseSuggestsARounderNumber(t *testing.T) {
	for text, want := range map[string]string{
		"100000000190000 per hour": "100000000100000",
		"562949953421312 per 1s":   "562949953400000",
		"5000000001 per second":    "5000000000",
		"5000000001 per 7 ms":      "5000000000",
	} {
		_, err := ratelimit.Parse(text)
		require.ErrorContains(t, err, "cannot be kept exactly: want a rounder number, such as "+want, text)
	}
}

// A store rejects the same limits as New, and indexes that its keys cannot hold.
func TestLimitsThatNoStoreTakes(t *testing.T) {
	for _, l := range []ratelimit.Limit{
		{},
		{Count: 1},
		{Period: 1},
		{Count: 1, Period: 1, Burst: -1},
		ratelimit.MustParse("unlimited")[0],
	} {
		_, err := store.NewLimit("r", 0, l.Count, l.Period, l.Burst)
		require.Error(t, err, l)
	}
	_, err := store.NewLimit("r", 254, 1, time.Second, 0)
	require.Error(t, err)
	_, err = store.NewLimit("r", 253, 1, time.Second, 0)
	require.NoError(t, err)
}

// A header field cannot show every number.
func TestExtremeLimits(t *testing.T) {
	r := ratelimit.Rule{Name: "r", Limits: ratelimit.Limits{{Count: 3 << 61, Period: 1 << 31, Burst: 1}}}
	h := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{r}}).Handler(ok)
	assert.Equal(t, []string{`"r";q=999999999999999;w=3`}, serve(h, with()).Header()["Ratelimit-Policy"])
}
