package ratelimit_test

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/tally"
	"github.com/ratelimit-go/ratelimit/stats"
	"github.com/ratelimit-go/ratelimit/store"
)

// onEachStore runs f with a MemoryStore, and with a store that the limiter does not know.
func onEachStore(t *testing.T, f func(t *testing.T, s store.Store)) {
	t.Run("memory", func(t *testing.T) { f(t, ratelimit.NewMemoryStore(ratelimit.MemoryConfig{})) })
	t.Run("another", func(t *testing.T) { f(t, newMortal()) })
}

// ruleStats returns what l has counted under the named rule.
func ruleStats(t testing.TB, l *ratelimit.Limiter, name string) stats.Rule {
	t.Helper()
	for _, r := range l.Stats().Rules {
		if r.Name == name {
			return r
		}
	}
	require.Fail(t, "no rule", name)
	return stats.Rule{}
}

// Stats tells what pages need to know of a configuration.
func TestStatsTellTheConfiguration(t *testing.T) {
	blocking := rule("blocking", "10 per hour")
	blocking.Block = &ratelimit.Block{}
	l := newLimiter(t, ratelimit.Config{
		NearLimit: 0.4, Rules: []ratelimit.Rule{blocking, atOnce("places", 3), rule("limit", "10 per hour")},
	})
	assert.InDelta(t, 0.4, l.Stats().NearShare, 0)
	assert.InDelta(t, 0.2, newLimiter(t, ratelimit.Config{}).Stats().NearShare, 0)
	assert.Equal(t, stats.Rule{
		Name: "blocking", Limits: "10 per hour", Mode: "enforce", CanBlock: true, Denied: map[string]int64{},
	}, ruleStats(t, l, "blocking"))
	assert.Equal(t, int64(3), ruleStats(t, l, "places").MaxInFlight)
	assert.False(t, ruleStats(t, l, "limit").CanBlock)
	l.SetEnabled(false)
	assert.Equal(t, "off", ruleStats(t, l, "limit").Mode, "so the alert on rules that are off fires")
	l.SetEnabled(true)
	assert.Equal(t, "enforce", ruleStats(t, l, "limit").Mode)
}

// seen is what clients and hooks have seen.
type seen struct {
	sync.Mutex
	allowed            map[string]int64 // by rule
	denied             map[string]int64 // by rule and reason
	dryRun, taken, all int64
}

func (s *seen) hooks() ratelimit.Hooks {
	return ratelimit.Hooks{
		Decided: func(_ *http.Request, d ratelimit.Decision, rules iter.Seq[ratelimit.Decision]) {
			s.Lock()
			defer s.Unlock()
			s.all++
			if !d.Allowed {
				s.denied[d.Rule+" "+string(d.Reason)]++
				return
			}
			for d := range rules {
				s.allowed[d.Rule]++
			}
		},
		DryRun: func(*http.Request, ratelimit.Decision) { s.Lock(); defer s.Unlock(); s.dryRun++ },
		Taken:  func(context.Context, ratelimit.Decision) { s.Lock(); defer s.Unlock(); s.taken++ },
	}
}

// The counters add up to what clients have seen.
func TestCountersAreWhatClientsSaw(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		wild := rule("wild", "3 per hour")
		wild.Mode = ratelimit.DryRun
		strict := rule("strict", "20 per hour; 9 per minute")
		strict.Block = &ratelimit.Block{After: ratelimit.Per(3, time.Hour), For: time.Hour}
		var deny ratelimit.List
		require.NoError(t, deny.Replace([]string{"10.0.0.9"}))
		got := seen{allowed: map[string]int64{}, denied: map[string]int64{}}
		l := newLimiter(t, ratelimit.Config{
			Store: s, OnStoreFailure: ratelimit.FailClosed, Deny: &deny,
			Rules:  []ratelimit.Rule{rule("everything", "60 per hour"), wild},
			Routes: map[string][]ratelimit.Rule{"/strict": {strict}, "/large": {large()}},
		})
		defer l.Observe(got.hooks())()
		counts := map[int]int64{}
		h := l.Handler(ok)
		var wg sync.WaitGroup
		var mu sync.Mutex
		for w := range 4 {
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(uint64(w), 1))
				for range 500 {
					r := at([]string{"/", "/strict", "/large"}[rng.IntN(3)])
					r.RemoteAddr = fmt.Sprintf("10.0.0.%d:1", rng.IntN(10))
					code := serve(h, r).Code
					mu.Lock()
					counts[code]++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		st := l.Stats()
		denied := st.Denied["denied"]
		assert.Equal(t, counts[http.StatusForbidden], denied)
		denied = 0
		for _, r := range st.Rules {
			for reason, n := range r.Denied {
				assert.Equal(t, got.denied[r.Name+" "+reason], n, "%s %s", r.Name, reason)
				denied += n
			}
			if r.Name != "wild" {
				assert.Equal(t, got.allowed[r.Name], r.Allowed, r.Name)
				assert.Less(t, r.NearLimit, r.Allowed, r.Name)
				assert.Positive(t, r.NearLimit, r.Name)
			}
		}
		assert.Equal(t, counts[http.StatusTooManyRequests], denied)
		assert.Equal(t, counts[http.StatusOK], ruleStats(t, l, "everything").Allowed)
		assert.Equal(t, counts[http.StatusOK], ruleStats(t, l, "wild").Allowed)
		assert.Equal(t, counts[http.StatusOK]-27, ruleStats(t, l, "wild").DryRun, "nine clients had three each")
		assert.Equal(t, got.dryRun, ruleStats(t, l, "wild").DryRun)
		assert.Positive(t, ruleStats(t, l, "strict").Denied["blocked"])
		assert.Positive(t, ruleStats(t, l, "strict").Denied["limit"])
		assert.Positive(t, ruleStats(t, l, "large").Denied["exceeds-burst"])
		assert.EqualValues(t, 9, ruleStats(t, l, "strict").Blocks)
		assert.EqualValues(t, 2000, got.all)
		assert.EqualValues(t, 2000, counts[200]+counts[403]+counts[429])
	})
}

// large returns a rule whose requests cost 1 or, with a large address, more than it can hold.
func large() ratelimit.Rule {
	r := rule("large", "12 per hour")
	r.Cost = func(r *http.Request) int64 {
		if r.RemoteAddr == "10.0.0.8:1" {
			return 13
		}
		return 1
	}
	return r
}

func TestCountersOfTake(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		dry, off := rule("dry", "1 per hour"), rule("off", "1 per hour")
		dry.Mode, off.Mode = ratelimit.DryRun, ratelimit.Off
		l := newLimiter(t, ratelimit.Config{
			Store: s, OnStoreFailure: ratelimit.FailClosed, NearLimit: 0.5,
			Rules: []ratelimit.Rule{rule("one", "10 per hour"), rule("two", "10 per hour; 20 per day"), dry, off},
		})
		taken := map[string]int64{}
		hooks := ratelimit.Hooks{Taken: func(_ context.Context, d ratelimit.Decision) { taken[d.Rule]++ }}
		stop := l.Observe(hooks)
		k := ratelimit.UserKey("a")
		for range 12 {
			for _, name := range []string{"one", "two", "dry", "off"} {
				_, err := l.Take(t.Context(), name, k, 1)
				require.NoError(t, err)
				_, err = l.Peek(t.Context(), name, k)
				require.NoError(t, err)
			}
		}
		_, err := l.Take(t.Context(), "one", k, 11)
		require.NoError(t, err)
		ds, err := l.Apply(t.Context(), ratelimit.Change{Rule: "one", Key: k, Cost: 1},
			ratelimit.Change{Rule: "two", Key: ratelimit.UserKey("b"), Cost: 1})
		require.NoError(t, err)
		assert.False(t, ds[0].Allowed)
		var denied *ratelimit.DeniedError
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.ErrorAs(t, l.Wait(ctx, "one", k, 1), &denied)
		require.NoError(t, l.Wait(ctx, "two", ratelimit.UserKey("c"), 1))

		counts := func(name string) stats.Rule {
			r := ruleStats(t, l, name)
			r.Name, r.Limits, r.Mode = "", "", ""
			return r
		}
		assert.Equal(t, stats.Rule{
			Allowed: 10, NearLimit: 5, Denied: map[string]int64{"limit": 4, "exceeds-burst": 1},
		}, counts("one"))
		assert.Equal(t, stats.Rule{Allowed: 11, NearLimit: 5, Denied: map[string]int64{"limit": 2}}, counts("two"))
		assert.Equal(t, stats.Rule{Allowed: 12, NearLimit: 1, DryRun: 11, Denied: map[string]int64{}}, counts("dry"))
		assert.Equal(t, stats.Rule{Denied: map[string]int64{}}, counts("off"))
		assert.Equal(t, map[string]int64{"one": 15, "two": 13, "dry": 12, "off": 12}, taken)
		stop()
		_, _ = l.Take(t.Context(), "one", k, 1)
		assert.EqualValues(t, 15, taken["one"])
	})
}

func TestCountersOfHeldAndRefundedRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		held := rule("held", "1 per second")
		held.MaxWait = 2 * time.Second
		failures := counting("failures", "5 per minute", ratelimit.Failures)
		flying := rule("flying", "100 per minute")
		flying.InFlight = 10
		l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{held, failures, flying}})
		h := l.Handler(l.With(rule("inner", "2 per hour"))(ok))
		for range 3 {
			go serve(h, with())
		}
		synctest.Wait()
		assert.EqualValues(t, 2, ruleStats(t, l, "held").Waiting)
		assert.EqualValues(t, 2, ruleStats(t, l, "held").Held)
		assert.Zero(t, ruleStats(t, l, "flying").InFlight, "held requests are not in flight")
		time.Sleep(time.Minute)
		for name, want := range map[string]stats.Rule{
			"held":     {Limits: "1 per second", Allowed: 3, NearLimit: 3, Held: 2, Refunded: 1},
			"failures": {Limits: "5 per minute", Allowed: 3, Refunded: 3},
			"flying":   {Limits: "100 per minute", MaxInFlight: 10, Allowed: 3, Refunded: 1},
			"inner":    {Limits: "2 per hour", Allowed: 2, NearLimit: 1, Denied: map[string]int64{"limit": 1}},
		} {
			want.Name, want.Mode = name, "enforce"
			if want.Denied == nil {
				want.Denied = map[string]int64{}
			}
			assert.Equal(t, want, ruleStats(t, l, name))
		}
	})
}

// A hook that panics is reported, and the others are called.
func TestObservers(t *testing.T) {
	var told []string
	note := func(who string) ratelimit.Hooks {
		return ratelimit.Hooks{
			Denied: func(*http.Request, ratelimit.Decision) { told = append(told, who+" denied") },
			Error:  func(_ context.Context, err error) { told = append(told, who+": "+err.Error()) },
		}
	}
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("r", "1 per hour")}, Hooks: note("own")})
	stop := l.Observe(note("first"))
	stopPanic := l.Observe(ratelimit.Hooks{Denied: func(*http.Request, ratelimit.Decision) { panic("oh") }})
	stopLast := l.Observe(note("last"))
	h := l.Handler(ok)
	assert.Equal(t, []int{200, 429}, codes(h, with(), with()))
	assert.Equal(t, []string{
		"own denied", "first denied", "own: ratelimit: Denied: panic: oh", "first: ratelimit: Denied: panic: oh",
		"last: ratelimit: Denied: panic: oh", "last denied",
	}, told)
	told = nil
	stopErrors := []func(){
		l.Observe(ratelimit.Hooks{Error: func(context.Context, error) { panic("again") }}),
		l.Observe(ratelimit.Hooks{Error: func(context.Context, error) { panic("and again") }}),
	}
	assert.Equal(t, []int{429}, codes(h, with()))
	assert.Len(t, told, 6, "observers whose Error panics harm nobody")
	for _, stop := range stopErrors {
		stop()
	}
	told = nil
	stop()
	stop()
	stopPanic()
	assert.Equal(t, []int{429}, codes(h, with()))
	assert.Equal(t, []string{"own denied", "last denied"}, told)
	told = nil
	stopLast()
	assert.Equal(t, []int{429}, codes(h, with()))
	assert.Equal(t, []string{"own denied"}, told)
}

// The counters outlive the rule that a new policy replaces.
func TestCountersSurviveANewPolicy(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("r", "1 per hour"), rule("s", "9 per hour")}})
	h := l.Handler(ok)
	codes(h, with(), with())
	require.NoError(t, l.SetPolicy(ratelimit.Policy{Rules: []ratelimit.Rule{rule("r", "5 per hour")}}))
	codes(h, with())
	got := l.Stats().Rules
	want := stats.Rule{
		Name: "r", Limits: "5 per hour", Mode: "enforce", Allowed: 2, NearLimit: 1, Denied: map[string]int64{"limit": 1},
	}
	require.Equal(t, []stats.Rule{want}, got)
}

// A reason that the counters do not know would be counted as "unknown".
func TestEachReasonIsCounted(t *testing.T) {
	for _, r := range []ratelimit.Reason{
		ratelimit.ReasonLimit, ratelimit.ReasonExceedsBurst, ratelimit.ReasonNoKey, ratelimit.ReasonStore,
		ratelimit.ReasonInFlight, ratelimit.ReasonCapacity, ratelimit.ReasonBlocked, ratelimit.ReasonDenied,
	} {
		assert.NotEqual(t, tally.Unknown, tally.OutcomeOf(string(r)), r)
	}
}

// A rule in DryRun that would deny a request without a key counts it, and tells the hook, once the
// request is allowed. Explain counts nothing.
func TestCountersOfDryRunsWithoutAKey(t *testing.T) {
	var told []ratelimit.Decision
	office := rule("office", "100 per minute")
	office.Key, office.OnMissingKey, office.Mode = ratelimit.ByUser(field("X-User")), ratelimit.DenyRequest, ratelimit.DryRun
	l := newLimiter(t, ratelimit.Config{
		Rules: []ratelimit.Rule{office, rule("all", "2 per hour")},
		Hooks: ratelimit.Hooks{DryRun: func(_ *http.Request, d ratelimit.Decision) { told = append(told, d) }},
	})
	l.Explain(with())
	assert.Equal(t, []int{200, 200, 429}, codes(l.Handler(ok), with(), with("X-User", "alice"), with()))
	got := ruleStats(t, l, "office")
	assert.Equal(t, []int64{2, 1, 0}, []int64{got.Allowed, got.DryRun, got.NearLimit})
	assert.Equal(t, []ratelimit.Decision{{Rule: "office", Mode: ratelimit.DryRun, Reason: ratelimit.ReasonNoKey}}, told)
}

// Without a hook, each Take that leaves little is counted too.
func TestNearLimitOfTakes(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		l := newLimiter(t, ratelimit.Config{
			Store: s, OnStoreFailure: ratelimit.FailClosed, NearLimit: 0.4,
			Rules: []ratelimit.Rule{rule("one", "5 per hour"), rule("two", "5 per hour; 9 per day")},
		})
		for _, name := range []string{"one", "two"} {
			for range 6 {
				_, err := l.Take(t.Context(), name, client(), 1)
				require.NoError(t, err)
			}
			got := ruleStats(t, l, name)
			assert.Equal(t, []int64{5, 2, 1}, []int64{got.Allowed, got.NearLimit, got.Denied["limit"]}, name)
		}
	})
}

// A rule in DryRun counts the requests that would leave it little.
func TestNearLimitOfADryRun(t *testing.T) {
	dry := rule("dry", "3 per hour")
	dry.Mode = ratelimit.DryRun
	l := newLimiter(t, ratelimit.Config{NearLimit: 0.6, Rules: []ratelimit.Rule{dry}})
	assert.Equal(t, []int{200, 200, 200, 200}, codes(l.Handler(ok), with(), with(), with(), with()))
	got := ruleStats(t, l, "dry")
	assert.Equal(t, []int64{4, 2, 1}, []int64{got.Allowed, got.NearLimit, got.DryRun})
}

// A limiter that is switched off counts no request and no Take.
func TestCountersOfALimiterThatIsOff(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		l := newLimiter(t, ratelimit.Config{
			Store: s, OnStoreFailure: ratelimit.FailClosed, Rules: []ratelimit.Rule{rule("r", "1 per hour")},
		})
		l.SetEnabled(false)
		assert.Equal(t, []int{200, 200}, codes(l.Handler(ok), with(), with()))
		_, err := l.Take(t.Context(), "r", client(), 1)
		require.NoError(t, err)
		require.NoError(t, l.Wait(t.Context(), "r", client(), 1))
		assert.Zero(t, ruleStats(t, l, "r").Allowed)
	})
}

// A rule that is unlimited counts what it allows, alone and beside another rule.
func TestCountersOfUnlimitedRules(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		for _, rules := range [][]ratelimit.Rule{
			{rule("open", "unlimited")}, {rule("open", "unlimited"), rule("all", "9 per hour")},
		} {
			l := newLimiter(t, ratelimit.Config{Store: s, OnStoreFailure: ratelimit.FailClosed, Rules: rules})
			assert.Equal(t, []int{200, 200}, codes(l.Handler(ok), with(), with()))
			_, err := l.Take(t.Context(), "open", client(), 1)
			require.NoError(t, err)
			got := ruleStats(t, l, "open")
			assert.Equal(t, []int64{3, 0}, []int64{got.Allowed, got.NearLimit})
		}
	})
}

// Decided is told of rules in DryRun that would allow the request, and DryRun of the others.
func TestDecidedYieldsRulesInDryRun(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		wild := rule("wild", "2 per hour")
		wild.Mode = ratelimit.DryRun
		var told []string
		l := newLimiter(t, ratelimit.Config{
			Store: s, OnStoreFailure: ratelimit.FailClosed, Rules: []ratelimit.Rule{rule("strict", "3 per hour"), wild},
			Hooks: ratelimit.Hooks{
				Decided: func(_ *http.Request, d ratelimit.Decision, rules iter.Seq[ratelimit.Decision]) {
					text := fmt.Sprintf("%t by %s:", d.Allowed, d.Rule)
					for d := range rules {
						text += fmt.Sprintf(" %s %d", d.Rule, d.Remaining)
					}
					told = append(told, text)
				},
				DryRun: func(_ *http.Request, d ratelimit.Decision) { told = append(told, "dry run of "+d.Rule) },
			},
		})
		h := l.Handler(ok)
		for range 4 {
			serve(h, request("192.0.2.1:1"))
		}
		assert.Equal(t, []string{
			"true by strict: strict 2 wild 1", "true by strict: strict 1 wild 0",
			"dry run of wild", "true by strict: strict 0", "false by strict: strict 0",
		}, told)
	})
}
