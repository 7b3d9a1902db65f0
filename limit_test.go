package ratelimit_test

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"

	"github.com/ratelimit-go/ratelimit"
)

func TestParseAccepts(t *testing.T) {
	for text, want := range map[string]string{
		"100 per minute": "100 per minute", "10/second": "10 per second", "100perminute": "100 per minute",
		"1 per 2 hours": "1 per 2 hours", "10 per2minutes": "10 per 2 minutes", "100/60second": "100 per minute",
		"10/second; 100/minute, 1000 per day": "10 per second; 100 per minute; 1000 per day",
		"5/min|20/H":                          "5 per minute; 20 per hour",
		"1_000_000 PER Week\n":                "1000000 per week",
		"1 per month":                         "1 per month",
		"1 per year":                          "1 per year",
		"7 per 1500 ms":                       "7 per 1500 milliseconds",
		"100 per minute burst 20":             "100 per minute burst 20",
		"100 per minute burst 100":            "100 per minute",
		" unlimited ":                         "unlimited",
		"1_000_000/s burst 1_000_000_000":     "1000000 per second burst 1000000000",
		"60 per minute; 1 per second":         "60 per minute; 1 per second",
	} {
		limits, err := ratelimit.Parse(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, limits.String())
		again, err := ratelimit.Parse(limits.String())
		require.NoError(t, err)
		assert.Equal(t, limits, again)
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]struct {
		offset int
		reason string
	}{
		"":                                     {0, "the count is missing"},
		"0 per minute":                         {0, "the count is zero"},
		"-1 per minute":                        {0, "the count is missing"},
		"1 per 0 minutes":                      {6, "the multiple is zero"},
		"1.5 per second":                       {1, "fraction"},
		"1,000 per hour":                       {1, "comma"},
		"100 per fortnight":                    {8, `unknown unit "fortnight"`},
		"100 per minuts":                       {8, "unknown unit"},
		"100 per":                              {7, "the unit is missing"},
		"100":                                  {3, `"per" or "/" is missing`},
		"10 requests per minute":               {3, `unexpected word "requests"`},
		"10 per minute;":                       {14, "the count is missing"},
		"10 per minute;; 1 per day":            {14, "the count is missing"},
		"10 per minute: 1 per day":             {13, `unexpected ":"`},
		"10 per minute bust 3":                 {14, `unexpected "bust"`},
		"10 per minute burst 0":                {20, "the burst is zero"},
		"٣ per minute":                         {0, "the count is missing"},
		"99999999999999999999 per day":         {0, "too large"},
		"1 per 9999999 years":                  {6, "too long"},
		"10 per minute burst 99999999999":      {0, "100 years"},
		"60 per minute; 1 per second burst 60": {15, "the same limit twice"},
		"4294967311 per day":                   {0, "cannot be kept exactly"},
		"1 per day, unlimited":                 {11, "the count is missing"},
		"1__0 per day":                         {1, `"per" or "/" is missing`},
		strings.Repeat(" ", 1025):              {1024, "too long"},
		strings.Repeat("1/s;", 17):             {4, "the same limit twice"},
	} {
		_, err := ratelimit.Parse(text)
		var pe *ratelimit.ParseError
		require.ErrorAs(t, err, &pe, text)
		assert.Equal(t, want.offset, pe.Offset, "%q: %v", text, err)
		assert.Contains(t, pe.Error(), want.reason, text)
	}
	assert.PanicsWithValue(t, `ratelimit: limit "100 per minuts", offset 8: unknown unit "minuts"; use minute`,
		func() { ratelimit.MustParse("100 per minuts") })
}

func TestLimitTextInJSON(t *testing.T) {
	var cfg struct {
		One  ratelimit.Limit
		Many ratelimit.Limits
	}
	require.NoError(t, json.Unmarshal([]byte(`{"One":"5/min","Many":"1/s; 10/min"}`), &cfg))
	assert.Equal(t, ratelimit.PerMinute(5), cfg.One)
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
}

func TestRates(t *testing.T) {
	for want, r := range map[string]rate.Limit{
		"10 per second": 10, "1 per 100 milliseconds burst 10": rate.Every(100 * time.Millisecond), "100 per minute burst 10": 100.0 / 60,
		"7 per day burst 10": ratelimit.PerDay(7).Rate(), "unlimited": rate.Inf, "5 per hour burst 10": ratelimit.PerHour(5).Rate(),
	} {
		if want == "1 per 100 milliseconds burst 10" {
			want = "10 per second" // the same rate, said more simply
		}
		l, err := ratelimit.FromRate(r, 10)
		require.NoError(t, err)
		assert.Equal(t, want, l.String())
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
	assert.Equal(t, rate.Inf, ratelimit.Unlimited().Rate())
	for _, l := range []ratelimit.Limit{{}, {Count: 1}, {Period: 1}, {Count: 1, Period: 1, Burst: -1}, ratelimit.Unlimited()} {
		_, err := ratelimit.NameLimit("r", 0, l)
		require.Error(t, err)
	}
	_, err = ratelimit.NameLimit("r", 254, ratelimit.PerSecond(1))
	require.Error(t, err)
}

func FuzzParse(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > maxFuzz {
			t.Skip()
		}
		limits, err := ratelimit.Parse(text)
		if err != nil {
			return
		}
		again, err := ratelimit.Parse(limits.String())
		require.NoError(t, err)
		require.Equal(t, limits, again)
	})
}

// Rates that no unit fits are a token in so many nanoseconds, or cut to nine digits.
func TestFromRateWithoutAUnit(t *testing.T) {
	for every, want := range map[time.Duration]string{
		7 * time.Millisecond: "1 per 7 milliseconds", 7 * time.Nanosecond: "1 per 7 nanoseconds", 13 * time.Microsecond: "1 per 13 microseconds",
	} {
		l, err := ratelimit.FromRate(rate.Every(every), 1)
		require.NoError(t, err)
		assert.Equal(t, want, l.String())
		parsed, err := ratelimit.Parse(l.String())
		require.NoError(t, err)
		assert.Equal(t, l.Rate(), parsed[0].Rate())
	}
}

// The number that a mistake suggests is right.
func TestRounderNumbers(t *testing.T) {
	for text, want := range map[string]string{
		"100000000190000 per hour": "100000000100000",
		"562949953421312 per 1s":   "562949953400000",
		"5000000001 per second":    "5000000000",
		"5000000001 per 7 ms":      "5000000000",
	} {
		_, err := ratelimit.Parse(text)
		require.ErrorContains(t, err, "cannot be kept exactly: want a rounder number, such as "+want, text)
	}
	for _, l := range []ratelimit.Limit{
		{Count: 5_000_000_001, Period: 7},
		{Count: math.MaxInt64 - 1, Period: 1},
		{Count: math.MaxInt64, Period: 7919},
		{Count: 100_000_000_190_000, Period: time.Hour, Burst: 1},
	} {
		_, err := ratelimit.NameLimit("r", 0, l)
		require.Error(t, err)
		_, text, found := strings.Cut(err.Error(), "such as ")
		require.True(t, found, "%v", err)
		l.Count, err = strconv.ParseInt(text, 10, 64)
		require.NoError(t, err)
		_, err = ratelimit.NameLimit("r", 0, l)
		require.NoError(t, err)
	}
}

// Numbers that no calendar has and no field can show.
func TestExtremeLimits(t *testing.T) {
	_, err := ratelimit.NameLimit("r", 0, ratelimit.Limit{Count: 1000, Period: math.MaxInt64, Burst: 1})
	require.ErrorContains(t, err, "period 2562047h47m16.854775807s: want at most 100 years")
	r := ratelimit.Rule{Name: "r", Limits: ratelimit.Limits{{Count: 3 << 61, Period: 1 << 31, Burst: 1}}, Key: ratelimit.ByRemoteIP()}
	h := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{r}}).Handler(ok)
	assert.Equal(t, []string{`"r";q=999999999999999;w=3`}, serve(h, request("192.0.2.1:1")).Header()["Ratelimit-Policy"])
}

// A bucket that takes more than 100 years to fill is refused, whatever makes it so.
func TestBucketsThatTakeTooLongToFill(t *testing.T) {
	for _, l := range []ratelimit.Limit{ratelimit.PerDay(1).WithBurst(40_000), ratelimit.PerDay(1).WithBurst(math.MaxInt64)} {
		_, err := ratelimit.NameLimit("r", 0, l)
		require.ErrorContains(t, err, "takes more than 100 years to fill: want a smaller burst")
	}
}
