package ratelimit_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// A MaxWait under which no request is ever held is a mistake, unless LimitsFor may choose limits
// for which it holds some.
func TestMaxWaitThatHoldsNoRequest(t *testing.T) {
	t.Parallel()
	const prime = 4_294_967_291 // so that it cannot be reduced
	const tooLong = "1h0m0s: a bucket with the tokens that flow in meanwhile takes more than 100 years to fill: want a smaller burst"
	for _, tc := range []struct {
		name   string
		limits ratelimit.Limits
		wait   time.Duration
		want   string // empty if a request is held
	}{
		{"the time of a token", ratelimit.MustParse("7 per minute"), 8571428572, ""},
		{
			"a nanosecond less", ratelimit.MustParse("7 per minute"), 8571428571,
			"8.571428571s is less than a token takes to come, so that no request is held: want at least 8.571428572s",
		},
		{"one of two limits", ratelimit.MustParse("1 per hour; 1 per second"), 2 * time.Second, ""},
		{
			"neither of two limits", ratelimit.MustParse("1 per hour; 1 per minute"), 2 * time.Second,
			"2s is less than a token takes to come, so that no request is held: want at least 1m0s",
		},
		{"no limits", nil, time.Second, "1s without Limits, so that no request is held: want Limits too"},
		{"more than can be counted", ratelimit.Limits{{Count: prime, Period: time.Microsecond}}, time.Hour, tooLong},
		{"more than 100 years", ratelimit.MustParse("1 per hour burst 876000"), time.Hour, tooLong},
		{"unlimited", ratelimit.MustParse("unlimited"), time.Second, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := ratelimit.Rule{Name: "r", Limits: tc.limits, Key: ratelimit.ByClientIP(), MaxWait: tc.wait, InFlight: 1}
			_, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{r}})
			if tc.want == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, "ratelimit: Rules[0].MaxWait: "+tc.want)
			r.LimitsFor = func(context.Context, ratelimit.Key) ratelimit.Limits { return nil }
			_, err = ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{r}})
			require.NoError(t, err, "LimitsFor may choose other limits")
		})
	}
}
