package ratelimit_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// Promise 10, of nested limiters: the strictest wins, in every form of one limit.
func TestNestedStrictestWins(t *testing.T) {
	for form, field := range map[ratelimit.HeaderForm]string{
		ratelimit.Draft7Headers: "RateLimit", ratelimit.Draft6Headers: "RateLimit-Limit", ratelimit.XHeaders: "X-RateLimit-Limit",
	} {
		nested := func(outer, inner string) http.Handler {
			h := newLimiter(t, ratelimit.Config{Headers: form, Rules: []ratelimit.Rule{rule("inner", inner)}}).Handler(ok)
			return newLimiter(t, ratelimit.Config{Headers: form, Rules: []ratelimit.Rule{rule("outer", outer)}}).Handler(h)
		}
		r := request("192.0.2.1:1")
		assert.Contains(t, serve(nested("100 per minute", "5 per minute"), r).Header().Get(field), "5", "admitted by both")
		h := nested("2 per minute", "1 per minute")
		serve(h, r)
		assert.Contains(t, serve(h, r).Header().Get(field), "1", "refused by the inner one, with nothing left in either")
	}
}

// A batch may drop the full bucket of one of its ops, found before, to make room for another, and
// then puts both into the table, which must have free slots for both. A table without a free slot is
// searched for ever, under the lock of its shard.
func TestTableKeepsFreeSlots(t *testing.T) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		var limits []*ratelimit.NamedLimit // of several routes, two for each request
		for i, text := range []string{"2 per second", "9 per second", "3 per minute", "5 per second"} {
			limits = append(limits, named(t, "r", i, text))
		}
		random := rand.New(rand.NewPCG(1, 2))
		for range 3000 {
			var now time.Duration
			s := ratelimit.NewClockStore(1000, func() time.Duration { return now })
			for range 60 {
				key := ratelimit.UserKey(fmt.Sprint(random.IntN(4)))
				first, second := limits[random.IntN(2)], limits[1+random.IntN(2)]
				apply(t, s, ratelimit.Op{Limit: first, Key: key, Cost: 1}, ratelimit.Op{Limit: second, Key: key, Cost: 1})
				now += time.Duration(random.IntN(30)) * 100 * time.Millisecond
			}
		}
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("a decision does not end")
	}
}

// A reset is of all limits that were chosen for the key, not only of as many as the rule has itself.
func TestResetOfChosenLimits(t *testing.T) {
	r := rule("r", "100 per minute")
	r.LimitsFor = func(*http.Request) ratelimit.Limits { return ratelimit.MustParse("100 per minute; 2 per day") }
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{r}})
	h, req := l.Handler(ok), request("192.0.2.1:1")
	serve(h, req)
	serve(h, req)
	assert.Equal(t, http.StatusTooManyRequests, serve(h, req).Code)
	key, err := ratelimit.ByRemoteIP().Key(req)
	require.NoError(t, err)
	require.NoError(t, l.Reset(t.Context(), "r", key))
	assert.Equal(t, http.StatusOK, serve(h, req).Code)

	serve(h, req)
	assert.Equal(t, http.StatusTooManyRequests, serve(h, req).Code)
	require.NoError(t, l.Replace(ratelimit.Config{Rules: []ratelimit.Rule{r}}))
	require.NoError(t, l.Reset(t.Context(), "r", key))
	assert.Equal(t, http.StatusOK, serve(h, req).Code, "nothing was chosen since the rule was replaced")
}
