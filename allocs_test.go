package ratelimit_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/ratelimit-go/ratelimit"
)

// A decision on a known key allocates nothing; a request that is admitted, with both fields, or
// refused, with a body, allocates once.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Log("the race detector makes pools forget") // make cover runs this without it
		return
	}
	plenty := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("per-client", "1_000_000 per second")}})
	three := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("r", "1_000_000 per second; 50_000_000 per minute; 1_000_000_000 per hour")}})
	spent := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("per-client", "1 per day")}})
	bare := newLimiter(t, ratelimit.Config{NoContext: true, Rules: []ratelimit.Rule{rule("per-client", "1_000_000 per second")}})
	key, w, r := ratelimit.UserKey("alice"), &discard{http.Header{}}, request("192.0.2.1:50123")
	handle := func(l *ratelimit.Limiter) func() {
		h := l.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		return func() {
			clear(w.h)
			h.ServeHTTP(w, r)
		}
	}
	for name, tc := range map[string]struct {
		most float64
		f    func()
	}{
		"a take":                    {0, func() { _, _ = plenty.Take(context.Background(), "per-client", key, 1) }},
		"a take under three limits": {0, func() { _, _ = three.Take(context.Background(), "r", key, 1) }},
		"a refused take":            {0, func() { _, _ = spent.Take(context.Background(), "per-client", key, 1) }},
		"an admitted request":       {1, handle(plenty)},
		"an admitted one as it is":  {1, handle(bare)},
		"one that no rule is for":   {0, handle(newLimiter(t, ratelimit.Config{NoContext: true}))},
		"a refused request":         {1, handle(spent)},
	} {
		assert.LessOrEqual(t, testing.AllocsPerRun(1000, tc.f), tc.most, name)
	}
}
