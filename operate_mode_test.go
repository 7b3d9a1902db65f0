package ratelimit_test

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/storefake"
	"github.com/ratelimit-go/ratelimit/internal/testsize"
	"github.com/ratelimit-go/ratelimit/login"
	"github.com/ratelimit-go/ratelimit/store"
)

func TestModeTexts(t *testing.T) {
	for _, tc := range []struct {
		mode ratelimit.Mode
		want string
	}{
		{ratelimit.Enforce, "enforce"},
		{ratelimit.DryRun, "dry-run"},
		{ratelimit.Off, "off"},
		{ratelimit.EnforcePercent(-1), "dry-run"},
		{ratelimit.EnforcePercent(0), "dry-run"},
		{ratelimit.EnforcePercent(1), "enforce 1%"},
		{ratelimit.EnforcePercent(99), "enforce 99%"},
		{ratelimit.EnforcePercent(100), "enforce"},
		{ratelimit.EnforcePercent(1000), "enforce"},
	} {
		assert.Equal(t, tc.want, string(tc.mode))
		l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("r", "1 per hour")}})
		var read ratelimit.Mode
		require.NoError(t, json.Unmarshal([]byte(strconv.Quote(tc.want)), &read), "a mode in a file is its text")
		require.NoError(t, l.SetMode("r", read), tc.want)
		d, err := l.Peek(t.Context(), "r", client())
		require.NoError(t, err)
		assert.Equal(t, tc.mode, d.Mode)
	}
}

func TestUnknownModes(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("r", "1 per hour")}})
	for _, mode := range []ratelimit.Mode{
		"mode 200", "3", "Enforce", "observe", "off ", "enforce %", "enforce 0%", "enforce 100%", "enforce 250%", "enforce -5%",
		"enforce 07%",
		"enforce +7%", "enforce 7", "enforce  7%", "enforce 7%%", "7%",
	} {
		require.EqualError(t, l.SetMode("r", mode),
			`ratelimit: unknown mode "`+string(mode)+`": want Enforce, DryRun, Off or EnforcePercent`)
		bad := rule("r", "1 per hour")
		bad.Mode = mode
		_, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{bad}})
		require.EqualError(t, err,
			`ratelimit: Rules[0].Mode: unknown mode "`+string(mode)+`": want Enforce, DryRun, Off or EnforcePercent`)
	}
	require.EqualError(t, l.SetMode("x", ratelimit.Off), `ratelimit: no such rule: "x"`)
	require.ErrorIs(t, l.SetMode("x", ratelimit.Off), ratelimit.ErrNoRule)
	d, err := l.Peek(t.Context(), "r", client())
	require.NoError(t, err)
	assert.Equal(t, ratelimit.Enforce, d.Mode, "the mode is as it was")
}

func TestDryRunCountsAndDeniesNothing(t *testing.T) {
	var told []ratelimit.Decision
	var denied []string
	watched := rule("watched", "2 per hour")
	watched.Mode = ratelimit.DryRun
	l := newLimiter(t, ratelimit.Config{
		Rules: []ratelimit.Rule{watched, rule("real", "4 per hour")},
		Hooks: ratelimit.Hooks{
			DryRun: func(_ *http.Request, d ratelimit.Decision) { told = append(told, d) },
			Denied: func(_ *http.Request, d ratelimit.Decision) { denied = append(denied, d.Rule) },
		},
	})
	h := l.Handler(ok)
	var got []int
	for range 5 {
		w := serve(h, with())
		got = append(got, w.Code)
		assert.Equal(t, []string{`"real";q=4;w=3600`}, w.Header()["Ratelimit-Policy"], "responses do not show the rule")
	}
	assert.Equal(t, []int{200, 200, 200, 200, 429}, got)
	require.Len(t, told, 2, "requests 3 and 4; another rule denied request 5")
	assert.Equal(t, "watched", told[0].Rule)
	assert.Equal(t, ratelimit.DryRun, told[0].Mode)
	assert.Equal(t, ratelimit.ReasonLimit, told[0].Reason)
	assert.False(t, told[0].Allowed)
	assert.Positive(t, told[0].RetryAfter)
	assert.Zero(t, remaining(t, l, "watched"))
	assert.Zero(t, remaining(t, l, "real"))
	all := l.Explain(with())
	require.Len(t, all, 2)
	assert.Equal(t, []ratelimit.Mode{ratelimit.DryRun, ratelimit.Enforce}, []ratelimit.Mode{all[0].Mode, all[1].Mode})

	require.NoError(t, l.SetMode("watched", ratelimit.Enforce))
	require.NoError(t, l.SetMode("real", ratelimit.Off))
	assert.Equal(t, 429, serve(h, with()).Code, "the dry run has spent the tokens")
	assert.Equal(t, []string{"real", "watched"}, denied)
}

func TestOffCountsNothing(t *testing.T) {
	r := rule("r", "1 per hour")
	r.Mode = ratelimit.Off
	l := newLimiter(t, ratelimit.Config{
		Rules: []ratelimit.Rule{r},
		Hooks: ratelimit.Hooks{DryRun: func(*http.Request, ratelimit.Decision) { t.Error("DryRun was called") }},
	})
	for range 3 {
		assert.Equal(t, http.Header{}, serve(l.Handler(ok), with()).Header())
	}
	assert.Equal(t, int64(1), remaining(t, l, "r"))
}

// Operators who switch a rule off may not know that Take uses it.
func TestTakeObeysTheMode(t *testing.T) {
	r := rule("r", "2 per hour")
	r.Block = &ratelimit.Block{After: ratelimit.Per(1, time.Hour)}
	l := newLimiter(t, ratelimit.Config{
		Rules: []ratelimit.Rule{r},
		Hooks: ratelimit.Hooks{DryRun: func(*http.Request, ratelimit.Decision) { t.Error("DryRun was called") }},
	})
	key := ratelimit.UserKey("alice")
	take := func(mode ratelimit.Mode, cost int64) ratelimit.Decision {
		require.NoError(t, l.SetMode("r", mode))
		d, err := l.Take(t.Context(), "r", key, cost)
		require.NoError(t, err)
		d.RetryAfter, d.ResetAfter = d.RetryAfter.Round(time.Minute), d.ResetAfter.Round(time.Minute)
		return d
	}
	want := ratelimit.Decision{
		Allowed: true, Rule: "r", Mode: ratelimit.Off, Limit: ratelimit.Limit{Count: 2, Period: time.Hour, Burst: 2}, Key: key,
	}

	assert.Equal(t, ratelimit.Decision{Allowed: true, Rule: "r", Mode: ratelimit.Off}, take(ratelimit.Off, 3), "off")
	d, err := l.Peek(t.Context(), "r", key)
	require.NoError(t, err)
	want.Remaining = 2
	assert.Equal(t, want, d, "off takes nothing")

	want.Mode, want.Remaining, want.ResetAfter = ratelimit.DryRun, 0, time.Hour
	assert.Equal(t, want, take(ratelimit.DryRun, 2), "the tokens were there")
	want.Reason, want.RetryAfter = ratelimit.ReasonLimit, 30*time.Minute
	for range 3 {
		assert.Equal(t, want, take(ratelimit.DryRun, 1), "the tokens were not there, which is no violation")
	}
	var enforced []bool
	for percent := range 100 {
		d := take(ratelimit.EnforcePercent(percent), 1)
		enforced = append(enforced, !d.Allowed)
		require.NoError(t, l.Unblock(t.Context(), "r", key))
	}
	assert.Equal(t, []bool{false, true}, slices.Compact(enforced), "from some percentage on")
	assert.Equal(t, ratelimit.ReasonBlocked, take(ratelimit.Enforce, 1).Reason, "enforced")
	assert.Equal(t, want, take(ratelimit.DryRun, 1), "a dry run ignores the block")

	require.NoError(t, l.SetMode("r", ratelimit.DryRun))
	d, err = l.Take(t.Context(), "r", ratelimit.Key{}, 1)
	require.ErrorIs(t, err, store.ErrInvalidOp)
	assert.Equal(t, ratelimit.Decision{}, d)
}

// What a rule in DryRun has taken is settled and refunded as if the rule were enforced.
func TestDryRunIsSettledAndRefunded(t *testing.T) {
	failures := counting("failures", "5 per hour", ratelimit.Failures)
	failures.Mode = ratelimit.DryRun
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{failures}})
	serve(l.Handler(ok), with())
	assert.Equal(t, int64(5), remaining(t, l, "failures"))
	serve(l.Handler(http.NotFoundHandler()), with())
	assert.Equal(t, int64(4), remaining(t, l, "failures"))
	costly := rule("costly", "1 per hour")
	costly.Cost = func(*http.Request) int64 { return 2 }
	assert.Equal(t, 429, serve(l.Handler(l.With(costly)(ok)), with()).Code)
	assert.Equal(t, int64(4), remaining(t, l, "failures"), "a denial by an inner limiter costs nothing anywhere")
}

// A login in DryRun blocks no account, neither here nor in an instance that enforces it.
func TestDryRunBlocksNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := ratelimit.NewMemoryStore(ratelimit.MemoryConfig{})
		observing := newLimiter(t, ratelimit.Config{Store: memory, Hooks: ratelimit.Hooks{
			Blocked: func(_ context.Context, b ratelimit.Blocked) { assert.Fail(t, "blocked", b) },
		}})
		try := func(l *ratelimit.Limiter, mode ratelimit.Mode) func(password string) int {
			guard, err := login.New(l, login.Config{Mode: mode, Account: func(*http.Request) string { return "alice" }})
			require.NoError(t, err)
			h := guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Password") != "secret" {
					w.WriteHeader(http.StatusUnauthorized)
				}
			}))
			return func(password string) int {
				r := with("Password", password)
				r.Method = http.MethodPost
				return serve(h, r).Code
			}
		}
		tryHere := try(observing, ratelimit.DryRun)
		for range 30 {
			require.Equal(t, 401, tryHere("guess"))
		}
		assert.Empty(t, observing.Blocked())
		tryThere := try(newLimiter(t, ratelimit.Config{Store: memory}), ratelimit.Enforce)
		require.Equal(t, 429, tryThere("secret"), "the dry run has spent the attempts")
		time.Sleep(3 * time.Minute) // for one more attempt of 5 in 15 minutes
		assert.Equal(t, 200, tryThere("secret"))
	})
}

func TestDryRunOfARequestWithoutKey(t *testing.T) {
	watched := rule("watched", "1 per hour")
	watched.Mode, watched.OnMissingKey = ratelimit.DryRun, ratelimit.DenyRequest
	h := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{watched}}).Handler(ok)
	assert.Equal(t, 200, serve(h, request("@")).Code)
}

func TestEnforcePercentSelectsKeys(t *testing.T) {
	keys := testsize.Of(4000, 2000)
	r := ratelimit.Rule{Limits: ratelimit.MustParse("1 per hour"), Key: ratelimit.ByUser(field("User"))}
	deniedAt := func(percent int, name string) map[int]bool {
		r.Name, r.Mode = name, ratelimit.EnforcePercent(percent)
		h := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{r}}).Handler(ok)
		denied := map[int]bool{}
		for i := range keys {
			req := with("User", strconv.Itoa(i))
			require.Equal(t, 200, serve(h, req).Code)
			if serve(h, req).Code == 429 {
				denied[i] = true
			}
		}
		return denied
	}
	few, again, more, other := deniedAt(10, "r"), deniedAt(10, "r"), deniedAt(40, "r"), deniedAt(10, "s")
	assert.InDelta(t, keys/100, len(deniedAt(1, "r")), float64(keys)/250, "neither none nor 2 %")
	assert.InDelta(t, keys/10, len(few), float64(keys)/50)
	assert.InDelta(t, keys*4/10, len(more), float64(keys)/40)
	assert.Equal(t, few, again, "the same keys in any process")
	for i := range few {
		assert.True(t, more[i], "a greater percentage includes key %d", i)
	}
	assert.NotEqual(t, few, other, "each rule selects keys of its own")
}

func TestDryRunWhileTheStoreFails(t *testing.T) {
	watched := rule("watched", "1 per hour")
	watched.Mode = ratelimit.DryRun
	hooks := unreported()
	hooks.DryRun = func(*http.Request, ratelimit.Decision) { t.Error("DryRun was called") }
	l := newLimiter(t, ratelimit.Config{
		Store:          storefake.Func(func(context.Context, []store.Op) error { return assert.AnError }),
		OnStoreFailure: ratelimit.FailClosed, Rules: []ratelimit.Rule{watched}, Hooks: hooks,
	})
	assert.Equal(t, 200, serve(l.Handler(ok), with()).Code)
}
