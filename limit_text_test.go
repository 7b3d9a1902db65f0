package ratelimit_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

func TestParse(t *testing.T) {
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

func TestParseMistakes(t *testing.T) {
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
		limits, err := ratelimit.Parse(text)
		assert.Nil(t, limits)
		var pe *ratelimit.ParseError
		require.ErrorAs(t, err, &pe, text)
		assert.Equal(t, text, pe.Text)
		assert.Equal(t, want.offset, pe.Offset, "%q: %v", text, err)
		assert.Contains(t, pe.Error(), want.reason, text)
	}
}

func TestMustParsePanics(t *testing.T) {
	assert.PanicsWithValue(t, `ratelimit: limit "100 per minuts", offset 8: unknown unit "minuts"; use minute`,
		func() { ratelimit.MustParse("100 per minuts") })
	assert.Equal(t, ratelimit.Limits{ratelimit.Per(100, time.Minute), {Count: 9, Period: time.Hour, Burst: 3}},
		ratelimit.MustParse("100/m; 9/h burst 3"))
}

func TestParseErrorCutsLongText(t *testing.T) {
	_, err := ratelimit.Parse("1 per " + strings.Repeat("x", 500))
	require.ErrorContains(t, err, `ratelimit: limit "1 per `+strings.Repeat("x", 74)+`...", offset 6: `)
}
