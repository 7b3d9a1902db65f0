package ratelimit_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/store"
)

// webhookRules are rules that hold up to 4 calls of each partner, for workers that all share.
func webhookRules(workers int) []ratelimit.Rule {
	partner := patient("partner", "1 per second", 4*time.Second)
	partner.Key = ratelimit.ByHeader("Partner")
	return []ratelimit.Rule{partner, {Name: "workers", InFlight: workers, Key: ratelimit.Global("webhooks")}}
}

// call returns a call of a partner whose handler takes as long as lasts says.
func call(partner, lasts string) *http.Request { return with("Partner", partner, "Lasts", lasts) }

// held returns how many requests of l hold a place for requests in flight.
func held(l *ratelimit.Limiter) int {
	permits, _ := l.PermitsHeld()
	return permits
}

// A held request takes no place of others. It takes its place when the wait is over.
func TestHeldRequestsLeavePlacesToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, ratelimit.Config{Rules: webhookRules(1)})
		h := l.Handler(lasting)
		assert.Equal(t, 200, serve(h, call("a", "0s")).Code)
		var answers []*httptest.ResponseRecorder
		for range 4 {
			answers = append(answers, background(h, call("a", "100ms")))
		}
		assert.Zero(t, held(l))
		assert.Equal(t, 200, serve(h, call("b", "0s")).Code)
		pass(time.Second)
		assert.Equal(t, 1, held(l), "the first has its place")
		assert.Equal(t, 503, serve(h, call("c", "0s")).Code)
		pass(4 * time.Second)
		for _, w := range answers {
			assert.Equal(t, 200, w.Code)
		}
		requireNoneHeld(t, l)
	})
}

// If no place is free when the wait is over, the answer is 503. The request takes nothing from
// rules that hold no request, and nothing from the queue if no other request stands behind it.
func TestHeldRequestThatFindsNoPlace(t *testing.T) {
	for _, tc := range []struct {
		name   string
		behind int // held requests
		next   time.Duration
	}{
		{"nobody behind", 0, 0},
		{"another behind", 1, time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var denied []ratelimit.Decision
				total := rule("total", "100 per hour")
				l := newLimiter(t, ratelimit.Config{
					Rules: append(webhookRules(1), total),
					Hooks: ratelimit.Hooks{Denied: func(_ *http.Request, d ratelimit.Decision) { denied = append(denied, d) }},
				})
				h := l.Handler(lasting)
				serve(h, call("a", "0s"))
				w := background(h, call("a", "0s"))
				for range tc.behind {
					background(h, call("a", "0s"))
				}
				background(h, call("b", "1500ms"))
				left := remaining(t, l, "total")
				pass(time.Second)
				assert.Equal(t, 503, w.Code)
				assert.Equal(t, http.Header{
					"Retry-After": {"1"}, "Cache-Control": {"no-store"}, "Content-Type": {"application/problem+json"},
					"X-Content-Type-Options": {"nosniff"},
				}, w.Header())
				assert.Equal(t, []ratelimit.Decision{{
					Reason: ratelimit.ReasonCapacity, Rule: "workers", Mode: ratelimit.Enforce,
					Key: ratelimit.ValueKey("global", "webhooks"), RetryAfter: time.Second,
				}}, denied)
				assert.Equal(t, left+1, remaining(t, l, "total"))
				pass(time.Second - 1)
				began := time.Now()
				assert.Equal(t, 200, serve(h, call("a", "0s")).Code)
				assert.Equal(t, time.Duration(tc.behind)*time.Second+min(1, time.Duration(tc.behind)), time.Since(began))
				requireNoneHeld(t, l)
			})
		})
	}
}

// While no place is free, a request is denied before it takes tokens, waits, or costs a call.
func TestNoPlaceIsFreeWhenARequestComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, ratelimit.Config{Rules: append(webhookRules(1), rule("total", "100 per hour"))})
		h := l.Handler(lasting)
		background(h, call("b", "1s"))
		began := time.Now()
		for range 20 {
			assert.Equal(t, 503, serve(h, call("a", "0s")).Code)
		}
		assert.Zero(t, time.Since(began))
		assert.Equal(t, int64(99), remaining(t, l, "total"))
		pass(time.Second)
		assert.Equal(t, 200, serve(h, call("a", "0s")).Code)
		assert.Equal(t, time.Second, time.Since(began), "it was not held")
		requireNoneHeld(t, l)
	})
}

// Requests that meet in the same instant cannot exceed InFlight, held or not.
func TestHeldRequestsThatEndTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, ratelimit.Config{Rules: webhookRules(3)})
		h := l.Handler(lasting)
		partners := []string{"a", "b", "c", "d", "e"}
		for _, p := range partners {
			assert.Equal(t, 200, serve(h, call(p, "0s")).Code)
		}
		var answers []*httptest.ResponseRecorder
		for _, p := range partners {
			answers = append(answers, background(h, call(p, "500ms")))
		}
		pass(time.Second)
		assert.Equal(t, 3, held(l))
		pass(time.Second)
		codes := map[int]int{}
		for _, w := range answers {
			codes[w.Code]++
		}
		assert.Equal(t, map[int]int{200: 3, 503: 2}, codes)
		requireNoneHeld(t, l)
	})
}

// A held request counts only under a rule with MaxWait, unless that counts all clients together.
func TestHeldRequestsUnderOtherKeys(t *testing.T) {
	for _, tc := range []struct {
		name string
		by   ratelimit.Keyer
		wait time.Duration
		want int // how many requests count while one is held
	}{
		{"tenant", ratelimit.ByHeader("Tenant"), 0, 0},
		{"a function for all", ratelimit.KeyFunc(func(*http.Request) (ratelimit.Key, error) { return ratelimit.UserKey("x"), nil }), 0, 0},
		{"tenant and partner", ratelimit.AllOf(ratelimit.ByHeader("Tenant"), ratelimit.ByHeader("Partner")), 0, 0},
		{"partner", ratelimit.ByHeader("Partner"), 0, 0},
		{"partner, with MaxWait", ratelimit.ByHeader("Partner"), time.Second, 1},
		{"all, with MaxWait", ratelimit.Global("all"), time.Second, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				few := ratelimit.Rule{Name: "few", InFlight: 1, Key: tc.by, MaxWait: tc.wait}
				if tc.wait > 0 {
					few.Limits = ratelimit.MustParse("100 per second")
				}
				l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{webhookRules(1)[0], few}})
				h := l.Handler(lasting)
				of := func(partner string) *http.Request { return with("Tenant", "t", "Partner", partner) }
				assert.Equal(t, 200, serve(h, of("a")).Code)
				w := background(h, of("a"))
				assert.Equal(t, tc.want, held(l))
				assert.Equal(t, 200, serve(h, of("b")).Code, "another partner of the tenant")
				began := time.Now()
				assert.Equal(t, tc.want == 1, serve(h, of("a")).Code == 429, "the same partner")
				pass(time.Second - time.Since(began))
				assert.Equal(t, 200, w.Code)
				pass(time.Minute)
				requireNoneHeld(t, l)
			})
		})
	}
}

// However a held request ends, no place is left taken.
func TestHeldRequestThatEndsOtherwise(t *testing.T) {
	for name, end := range map[string]func(l *ratelimit.Limiter, leave func()) int{
		"the client leaves":      func(_ *ratelimit.Limiter, leave func()) int { leave(); return 429 },
		"the rules are replaced": func(l *ratelimit.Limiter, _ func()) int { _ = l.SetPolicy(ratelimit.Policy{}); return 200 },
		"the limiter is off":     func(l *ratelimit.Limiter, _ func()) int { l.SetEnabled(false); return 200 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLimiter(t, ratelimit.Config{Rules: webhookRules(1)})
				h := l.Handler(lasting)
				serve(h, call("a", "0s"))
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				w := background(h, call("a", "0s").WithContext(ctx))
				want := end(l, leave)
				synctest.Wait()
				pass(time.Second)
				assert.Equal(t, want, w.Code)
				requireNoneHeld(t, l)
			})
		})
	}
}

// Instances that share leases spare them too while they hold a request, and release all of them.
func TestHeldRequestsHoldNoLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := newLeasingStore()
		rules := webhookRules(1)
		rules[0].InFlight = 9
		here := shared.instance(t, ratelimit.FailClosed, nil, rules...)
		there := shared.instance(t, ratelimit.FailClosed, nil, rules...).Handler(lasting)
		h := here.Handler(lasting)
		assert.Equal(t, 200, serve(h, call("a", "0s")).Code)
		first, second := background(h, call("a", "0s")), background(h, call("a", "0s"))
		assert.Equal(t, 200, serve(there, call("b", "0s")).Code)
		shared.asked()
		pass(time.Second)
		assert.Equal(t, 200, first.Code)
		assert.Equal(t, []store.LeaseKind{acquire, release, release}, shared.asked())
		background(there, call("b", "3s"))
		pass(time.Second)
		assert.Equal(t, 503, second.Code, "the other instance has the only worker")
		pass(3 * time.Second)
		assert.Equal(t, 200, serve(h, call("a", "0s")).Code)
		requireNoneHeld(t, here)
	})
}

// If the store fails when the wait is over, OnStoreFailure decides about the places.
func TestHeldRequestWhoseLeaseFails(t *testing.T) {
	for policy, want := range map[ratelimit.FailurePolicy]int{
		ratelimit.FailClosed: 503, ratelimit.FailOpen: 200, ratelimit.UseMemory: 200,
	} {
		t.Run(string(policy), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				shared := newLeasingStore()
				l := shared.instance(t, policy, func(error) {}, webhookRules(1)...)
				h := l.Handler(lasting)
				assert.Equal(t, 200, serve(h, call("a", "0s")).Code)
				w := background(h, call("a", "0s"))
				shared.fails(unreachable)
				pass(time.Second)
				require.Equal(t, want, w.Code)
				requireNoneHeld(t, l)
			})
		})
	}
}
