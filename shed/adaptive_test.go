package shed

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An adaptive limit stays within its bounds. It falls at most by half, and at most once for
// requests that began before.
func TestAdaptiveLimitStaysWithinItsBounds(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	const target = 100 * time.Millisecond
	for range 100 {
		upper := 1 + rnd.IntN(1000)
		lower := 1 + rnd.IntN(upper)
		a := newAdaptive(lower, upper, target)
		limit, now, cut := a.limit, time.Duration(0), time.Duration(-1)
		require.InDelta(t, upper, limit, 0)
		for range 5000 {
			now += time.Duration(rnd.IntN(int(20 * time.Millisecond)))
			began := max(0, now-time.Duration(rnd.ExpFloat64()*float64(target)/2))
			a = a.observe(began, now, 1+rnd.IntN(upper))
			got := a.limit
			if got < float64(lower) || got > float64(upper) {
				require.Failf(t, "out of bounds", "%v is not in %d..%d", got, lower, upper)
			}
			if got < limit {
				require.GreaterOrEqual(t, got, limit/2)
				require.GreaterOrEqual(t, began, cut, "requests that began before the last cut must not cause another one")
				cut = now
			}
			limit = got
		}
	}
}

const windowTarget = time.Second

// halved returns a limit of 50, after a window in which all requests were slow. It began at 100.
func halved(t *testing.T) adaptive {
	t.Helper()
	a := newAdaptive(1, 100, windowTarget)
	for range 20 {
		a = a.observe(0, 2*windowTarget, 100)
	}
	require.InDelta(t, 50, a.limit, 0)
	return a
}

func TestWindowOfAdaptiveLimit(t *testing.T) {
	for _, tc := range []struct {
		name             string
		seen, slow, peak int
		want             float64
	}{
		{name: "fast and in use", seen: 20, slow: 0, peak: 25, want: 52},
		{name: "fast and not in use", seen: 20, slow: 0, peak: 24, want: 50},
		{name: "as many slow as are tolerated", seen: 20, slow: 1, peak: 50, want: 52},
		{name: "more slow", seen: 20, slow: 2, peak: 50, want: 50 * 0.95},
		{name: "all slow", seen: 20, slow: 20, peak: 50, want: 25},
		{name: "half slow and not in use", seen: 20, slow: 10, peak: 24, want: 50},
		{name: "most slow though not in use", seen: 20, slow: 11, peak: 24, want: 50 * (1 - 0.55/2)},
		{name: "too few to tell", seen: 19, slow: 19, peak: 50, want: 50},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := halved(t)
			for i := range tc.seen {
				const now = 5 * windowTarget
				began := now - windowTarget // just fast enough
				if i < tc.slow {
					began--
				}
				a = a.observe(began, now, tc.peak)
			}
			assert.InDelta(t, tc.want, a.limit, 1e-9)
		})
	}
}

func TestWindowIsAsLongAsTheTarget(t *testing.T) {
	a := halved(t)
	for range 100 {
		a = a.observe(2*windowTarget, 3*windowTarget-1, 50)
	}
	assert.InDelta(t, 50, a.limit, 0)
	a = a.observe(2*windowTarget, 3*windowTarget, 50)
	assert.InDelta(t, 52, a.limit, 1e-9)
}

func TestRequestsFromBeforeTheCutSayNothing(t *testing.T) {
	a := halved(t)
	for range 100 {
		a = a.observe(2*windowTarget-1, 9*windowTarget, 50)
	}
	assert.InDelta(t, 50, a.limit, 0)
}
