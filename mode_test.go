package ratelimit_test

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

func TestModeText(t *testing.T) {
	for mode, want := range map[ratelimit.Mode]string{
		ratelimit.Enforce: "enforce", ratelimit.Observe: "observe", ratelimit.Off: "off",
		ratelimit.EnforcePercent(-1): "observe", ratelimit.EnforcePercent(0): "observe", ratelimit.EnforcePercent(1): "enforce 1%",
		ratelimit.EnforcePercent(99): "enforce 99%", ratelimit.EnforcePercent(100): "enforce", ratelimit.EnforcePercent(1000): "enforce",
		200: "mode 200",
	} {
		assert.Equal(t, want, mode.String())
	}
}

// An observed rule counts as an enforced one does, and refuses nobody.
func TestObserve(t *testing.T) {
	var told []ratelimit.Decision
	var denied []string
	watched := rule("watched", "2 per hour")
	watched.Mode = ratelimit.Observe
	l := newLimiter(t, ratelimit.Config{
		Rules:      []ratelimit.Rule{watched, rule("real", "4 per hour")},
		OnObserved: func(_ *http.Request, d ratelimit.Decision) { told = append(told, d) },
		OnDenied:   func(_ *http.Request, d ratelimit.Decision) { denied = append(denied, d.Rule) },
	})
	h := l.Handler(ok)
	var codes []int
	for range 5 {
		w := serve(h, request("192.0.2.1:1"))
		codes = append(codes, w.Code)
		assert.Equal(t, []string{`"real";q=4;w=3600`}, w.Header()["Ratelimit-Policy"], "nothing shows")
	}
	assert.Equal(t, []int{200, 200, 200, 200, 429}, codes)
	require.Len(t, told, 2, "requests 3 and 4; 5 was refused by another rule")
	assert.Equal(t, "watched", told[0].Rule)
	assert.Equal(t, ratelimit.ReasonLimit, told[0].Reason)
	assert.False(t, told[0].Allowed)
	assert.Positive(t, told[0].RetryAfter)
	assert.Zero(t, remaining(t, l, "watched"))
	assert.Zero(t, remaining(t, l, "real"))
	all, err := l.Explain(request("192.0.2.1:1"))
	require.NoError(t, err)
	assert.Equal(t, []ratelimit.Mode{ratelimit.Observe, ratelimit.Enforce}, []ratelimit.Mode{all[0].Mode, all[1].Mode})

	require.NoError(t, l.SetMode("watched", ratelimit.Enforce))
	require.NoError(t, l.SetMode("real", ratelimit.Off))
	assert.Equal(t, 429, serve(h, request("192.0.2.1:1")).Code, "what was observed is what was spent")
	assert.Equal(t, []string{"real", "watched"}, denied)
}

// A rule that is off counts nothing.
func TestOff(t *testing.T) {
	r := rule("r", "1 per hour")
	r.Mode = ratelimit.Off
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{r}, OnObserved: func(*http.Request, ratelimit.Decision) { t.Error("observed") }})
	for range 3 {
		assert.Equal(t, http.Header{}, serve(l.Handler(ok), request("192.0.2.1:1")).Header())
	}
	assert.Equal(t, int64(1), remaining(t, l, "r"))
}

// Take heeds the mode too, since whoever switches a rule off may not know where it is asked.
func TestTakeHeedsTheMode(t *testing.T) {
	r := rule("r", "2 per hour")
	r.Penalty = &ratelimit.Penalty{After: ratelimit.PerHour(1)}
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{r}, OnObserved: func(*http.Request, ratelimit.Decision) { t.Error("observed") }})
	key := ratelimit.UserKey("alice")
	take := func(mode ratelimit.Mode, cost int64) ratelimit.Decision {
		require.NoError(t, l.SetMode("r", mode))
		d, err := l.Take(t.Context(), "r", key, cost)
		require.NoError(t, err)
		d.RetryAfter, d.ResetAfter = d.RetryAfter.Round(time.Minute), d.ResetAfter.Round(time.Minute)
		return d
	}
	want := ratelimit.Decision{Allowed: true, Rule: "r", Limit: ratelimit.Limit{Count: 2, Period: time.Hour, Burst: 2}, Key: key}

	assert.Equal(t, ratelimit.Decision{Allowed: true}, take(ratelimit.Off, 3), "off")
	d, err := l.Peek(t.Context(), "r", key)
	require.NoError(t, err)
	want.Remaining = 2
	assert.Equal(t, want, d, "off takes nothing")

	want.Remaining, want.ResetAfter = 0, time.Hour
	assert.Equal(t, want, take(ratelimit.Observe, 2), "observed and admitted")
	want.Reason, want.RetryAfter = ratelimit.ReasonLimit, 30*time.Minute
	for range 3 {
		assert.Equal(t, want, take(ratelimit.Observe, 1), "observed and not admitted, which is no offence")
	}
	var enforced []bool
	for percent := range 100 {
		d := take(ratelimit.EnforcePercent(percent), 1)
		enforced = append(enforced, !d.Allowed)
		require.NoError(t, l.Unblock(t.Context(), "r", key))
	}
	assert.Equal(t, []bool{false, true}, slices.Compact(enforced), "from some percentage on")
	assert.Equal(t, ratelimit.ReasonBlocked, take(ratelimit.Enforce, 1).Reason, "enforced")
	assert.Equal(t, want, take(ratelimit.Observe, 1), "a block holds nobody who is only observed")

	require.NoError(t, l.SetMode("r", ratelimit.Observe))
	d, err = l.Take(t.Context(), "r", ratelimit.Key{}, 1)
	require.ErrorIs(t, err, ratelimit.ErrInvalidOp)
	assert.Equal(t, ratelimit.Decision{}, d)
}

// What an observed rule has taken is settled, and given back, as if it were enforced.
func TestObservedIsSettled(t *testing.T) {
	failures := charged("failures", "5 per hour", ratelimit.ChargeFailures)
	failures.Mode = ratelimit.Observe
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{failures}})
	serve(l.Handler(ok), request("192.0.2.1:1"))
	assert.Equal(t, int64(5), remaining(t, l, "failures"))
	serve(l.Handler(http.NotFoundHandler()), request("192.0.2.1:1"))
	assert.Equal(t, int64(4), remaining(t, l, "failures"))
	inner := l.With(ratelimit.Rule{Name: "never", Limits: ratelimit.MustParse("1 per hour"), Key: ratelimit.ByRemoteIP(), Cost: func(*http.Request) int64 { return 2 }})
	assert.Equal(t, 429, serve(l.Handler(inner(ok)), request("192.0.2.1:1")).Code)
	assert.Equal(t, int64(4), remaining(t, l, "failures"), "what an inner limiter refuses costs nothing anywhere")
}

// A login that is tried out blocks nobody, here or where it is enforced.
func TestObservedBlocksNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := ratelimit.NewMemoryStore(ratelimit.MemoryConfig{})
		observing := newLimiter(t, ratelimit.Config{Store: store, OnBlocked: func(_ context.Context, b ratelimit.Block) { assert.Fail(t, "blocked", b) }})
		s := newLoginServer(t, observing, ratelimit.Login{Mode: ratelimit.Observe})
		for range 30 {
			require.Equal(t, 401, s.try("10.0.0.1", "alice", "guess"))
		}
		assert.Empty(t, observing.Blocked())
		enforcing := newLoginServer(t, newLimiter(t, ratelimit.Config{Store: store}), ratelimit.Login{})
		time.Sleep(3 * time.Minute) // for one more attempt of 5 in 15 minutes
		assert.Equal(t, 200, enforcing.try("10.0.0.1", "alice", "secret"))
	})
}

func TestObservedWithoutIdentity(t *testing.T) {
	watched := rule("watched", "1 per hour")
	watched.Mode, watched.Unidentified = ratelimit.Observe, ratelimit.RefuseUnidentified
	h := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{watched}}).Handler(ok)
	assert.Equal(t, 200, serve(h, request("@")).Code)
}

func TestEnforcePercentOfKeys(t *testing.T) {
	const keys = 4000
	r := ratelimit.Rule{Name: "r", Limits: ratelimit.MustParse("1 per hour"), Key: ratelimit.ByUser(func(r *http.Request) string { return r.Header.Get("User") })}
	refusedAt := func(percent int, name string) map[int]bool {
		r.Name, r.Mode = name, ratelimit.EnforcePercent(percent)
		h := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{r}}).Handler(ok)
		refused := map[int]bool{}
		for i := range keys {
			req := request("192.0.2.1:1", "User", strconv.Itoa(i))
			require.Equal(t, 200, serve(h, req).Code)
			if serve(h, req).Code == 429 {
				refused[i] = true
			}
		}
		return refused
	}
	few, again, more, other := refusedAt(10, "r"), refusedAt(10, "r"), refusedAt(40, "r"), refusedAt(10, "s")
	assert.InDelta(t, keys/10, len(few), keys/50)
	assert.InDelta(t, keys*4/10, len(more), keys/40)
	assert.Equal(t, few, again, "the same keys, in any process")
	for i := range few {
		assert.True(t, more[i], "a greater percentage takes in key %d", i)
	}
	assert.NotEqual(t, few, other, "each rule has keys of its own")
}

func TestSetModeMistakes(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("r", "1 per hour")}})
	assert.EqualError(t, l.SetMode("x", ratelimit.Off), `ratelimit: there is no rule "x"`)
	assert.ErrorContains(t, l.SetMode("r", 3), "unknown mode 3")
	bad := rule("r", "1 per hour")
	bad.Mode, bad.MaxWait, bad.MaxWaiting = 250, -1, -1
	_, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{bad}})
	for _, field := range []string{"Rules[0].Mode", "Rules[0].MaxWait:", "Rules[0].MaxWaiting"} {
		assert.ErrorContains(t, err, field)
	}
}

// An observed rule does what it does also while the store fails: nothing that anybody sees.
func TestObserveWithoutStore(t *testing.T) {
	watched := rule("watched", "1 per hour")
	watched.Mode = ratelimit.Observe
	l := newLimiter(t, ratelimit.Config{
		Store:          storeFunc(func(context.Context, []ratelimit.Op) error { return assert.AnError }),
		OnStoreFailure: ratelimit.FailClosed, OnError: func(context.Context, error) {},
		Rules:      []ratelimit.Rule{watched},
		OnObserved: func(*http.Request, ratelimit.Decision) { t.Error("nothing was observed") },
	})
	assert.Equal(t, 200, serve(l.Handler(ok), request("192.0.2.1:1")).Code)
}

func TestReplace(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{
		Rules:  []ratelimit.Rule{rule("all", "10 per hour"), rule("gone", "1 per hour")},
		Routes: map[string][]ratelimit.Rule{"GET /a": {rule("a", "5 per hour")}},
	})
	h := l.Handler(l.With(rule("decorated", "100 per hour"))(ok))
	get := func(path string) *http.Request {
		r := request("192.0.2.1:1")
		r.URL.Path = path
		return r
	}
	assert.Equal(t, 200, serve(h, get("/a")).Code)
	assert.Equal(t, 429, serve(h, get("/a")).Code)
	require.NoError(t, l.Replace(ratelimit.Config{
		Rules:        []ratelimit.Rule{rule("all", "3 per hour")},
		Routes:       map[string][]ratelimit.Rule{"GET /b": {rule("a", "2 per hour")}},
		ExemptRoutes: []string{"GET /free"},
	}))
	assert.Equal(t, []int{200, 200, 429}, []int{serve(h, get("/a")).Code, serve(h, get("/b")).Code, serve(h, get("/b")).Code}, "one of three, and of two, was spent before")
	assert.Equal(t, 200, serve(h, get("/free")).Code)
	_, err := l.Peek(t.Context(), "gone", ratelimit.UserKey("a"))
	require.EqualError(t, err, `ratelimit: there is no rule "gone"`)
	assert.Equal(t, int64(96), remaining(t, l, "decorated"))

	err = l.Replace(ratelimit.Config{
		Rules: []ratelimit.Rule{rule("decorated", "1 per hour"), {}}, Routes: map[string][]ratelimit.Rule{"bad pattern {": nil},
		Store: ratelimit.NewMemoryStore(ratelimit.MemoryConfig{}), Headers: ratelimit.XHeaders,
	})
	for _, mistake := range []string{`Rules[0].Name: "decorated" is the name of another rule`, "Rules[1].Name", "Store: cannot be replaced", "Headers: cannot", `Routes["bad pattern {"]`} {
		assert.ErrorContains(t, err, mistake)
	}
	assert.Equal(t, 429, serve(h, get("/b")).Code, "nothing was replaced")
	require.NoError(t, l.Replace(ratelimit.Config{Exempt: func(*http.Request) bool { return true }}))
	assert.Equal(t, 200, serve(h, get("/b")).Code)
}

// Replace refuses every field of a Config but those that it names.
func TestReplaceRefusesAllOtherFields(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{})
	for _, field := range reflect.VisibleFields(reflect.TypeFor[ratelimit.Config]()) {
		if !field.IsExported() || slices.Contains([]string{"Rules", "Routes", "ExemptRoutes", "Exempt"}, field.Name) {
			continue
		}
		var cfg ratelimit.Config
		set := reflect.ValueOf(&cfg).Elem().FieldByIndex(field.Index)
		switch field.Type.Kind() {
		case reflect.Func:
			set.Set(reflect.MakeFunc(field.Type, nil))
		case reflect.Interface:
			set.Set(reflect.ValueOf(ratelimit.NewMemoryStore(ratelimit.MemoryConfig{})))
		case reflect.Pointer:
			set.Set(reflect.New(field.Type.Elem()))
		case reflect.Bool:
			set.SetBool(true)
		default:
			set.Set(reflect.ValueOf(1).Convert(field.Type))
		}
		assert.ErrorContains(t, l.Replace(cfg), field.Name+": cannot be replaced")
	}
}

// Requests, replacements, modes and decorators at once: for the race detector, and no request
// is ever without rules.
func TestReplaceWhileServing(t *testing.T) {
	config := func(n int) ratelimit.Config {
		return ratelimit.Config{Rules: []ratelimit.Rule{rule("all", fmt.Sprint(1000+n, " per hour"))}}
	}
	l := newLimiter(t, config(0))
	h := l.Handler(ok)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 200 {
				assert.Contains(t, serve(h, request("192.0.2.1:1")).Header(), "Ratelimit")
			}
		})
	}
	all.Go(func() {
		for n := range 100 {
			assert.NoError(t, l.Replace(config(n)))
			assert.NoError(t, l.SetMode("all", ratelimit.Enforce))
			l.With(rule(fmt.Sprint("d", n), "1 per hour"))
		}
	})
	all.Wait()
	_, err := l.Peek(t.Context(), "d99", ratelimit.UserKey("a"))
	assert.NoError(t, err)
}
