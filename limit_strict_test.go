package ratelimit_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/testsize"
)

func TestStrictLimits(t *testing.T) {
	for text, want := range map[string]ratelimit.Limit{
		"100 per minute strict":          {Count: 50, Period: time.Minute},
		"101/minute STRICT":              {Count: 50, Period: time.Minute, Burst: 51},
		"100 per minute strict burst 20": {Count: 80, Period: time.Minute, Burst: 20},
		"100 per minute strict burst 99": {Count: 1, Period: time.Minute, Burst: 99},
		"2 per day strict":               {Count: 1, Period: 24 * time.Hour},
		"1 per day strict":               {Count: 1, Period: 24 * time.Hour},
		"1 per day strict burst 1":       {Count: 1, Period: 24 * time.Hour},
	} {
		got, err := ratelimit.Parse(text)
		require.NoError(t, err, text)
		assert.Equal(t, ratelimit.Limits{want}, got, text)
	}
	assert.Equal(t, ratelimit.MustParse("7 per hour strict")[0], ratelimit.AtMost(7, time.Hour))
	for text, want := range map[string]string{
		"100 per minute strict burst 100": `ratelimit: limit "100 per minute strict burst 100", offset 22: ` +
			`the burst leaves no tokens to refill; want a burst below the count, as in "100 per minute strict burst 20"`,
		"100 per minute burst 20 strict": `ratelimit: limit "100 per minute burst 20 strict", offset 24: ` +
			`unexpected "s"; separate limits by ";"`,
		"1 per minute strict burst 2": `ratelimit: limit "1 per minute strict burst 2", offset 20: ` +
			`the burst leaves no tokens to refill; want a burst below the count, as in "100 per minute strict burst 20"`,
	} {
		_, err := ratelimit.Parse(text)
		assert.EqualError(t, err, want)
	}
	for _, l := range []ratelimit.Limit{ratelimit.AtMost(0, time.Hour), ratelimit.AtMost(-1, time.Hour), ratelimit.AtMost(9, 0)} {
		_, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{{Name: "r", Limits: ratelimit.Limits{l}}}})
		assert.Error(t, err)
	}
}

// However requests arrive, no window has more than it may. The oracle is a log of what was allowed.
func TestStrictLimitsHoldInAnyWindow(t *testing.T) {
	const window = time.Minute
	rng := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int64{1, 2, 3, 7, 10, 59, 60, 61, 100} {
		for _, text := range []string{"strict", fmt.Sprintf("strict burst %d", max(n-1, 1))} {
			now := time.Unix(1_000_000_000, 0)
			l := newLimiter(t, ratelimit.Config{
				Clock: func() time.Time { return now },
				Rules: []ratelimit.Rule{rule("r", fmt.Sprintf("%d per minute %s", n, text))},
			})
			var allowed []time.Time
			most := 0
			for range testsize.Of(20_000, 7_000) {
				switch rng.IntN(20) {
				case 0:
					now = now.Add(time.Duration(rng.Int64N(int64(2 * window))))
				case 1, 2, 3:
					now = now.Add(time.Duration(rng.Int64N(int64(window) / n)))
				}
				d, err := l.Take(t.Context(), "r", client(), 1)
				require.NoError(t, err)
				if !d.Allowed {
					continue
				}
				allowed = append(allowed, now)
				for now.Sub(allowed[0]) >= window {
					allowed = allowed[1:]
				}
				most = max(most, len(allowed))
			}
			assert.LessOrEqual(t, int64(most), n, text)
			assert.GreaterOrEqual(t, int64(most), n/2, "%s: the limit is used", text)
		}
	}
}

// A limit that is not strict allows nearly twice its count, so the test above can fail.
func TestOrdinaryLimitIsNotStrict(t *testing.T) {
	now := time.Unix(1_000_000_000, 0)
	l := newLimiter(t, ratelimit.Config{
		Clock: func() time.Time { return now }, Rules: []ratelimit.Rule{rule("r", "1000 per day")},
	})
	allowed := 0
	for range 24 * 60 * 60 / 10 {
		d, err := l.Take(t.Context(), "r", client(), 1)
		require.NoError(t, err)
		if d.Allowed {
			allowed++
		}
		now = now.Add(10 * time.Second)
	}
	assert.Greater(t, allowed, 1900)
}
