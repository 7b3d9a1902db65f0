package support_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/ratelimittest"
	"github.com/ratelimit-go/ratelimit/support"
)

func rule(name, limits string) ratelimit.Rule {
	return ratelimit.Rule{Name: name, Limits: ratelimit.MustParse(limits)}
}

func newLimiter(t testing.TB, cfg ratelimit.Config) *ratelimit.Limiter {
	t.Helper()
	l, err := ratelimit.New(cfg)
	require.NoError(t, err)
	return l
}

// summary returns the standings as text.
func summary(all []support.Standing) string {
	var b strings.Builder
	for _, s := range all {
		fmt.Fprintln(&b, s)
	}
	return b.String()
}

func TestDesk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plan := rule("plan", "10 per hour")
		plan.LimitsFor = func(_ context.Context, k ratelimit.Key) ratelimit.Limits {
			if k == ratelimit.UserKey("alice") {
				return ratelimit.MustParse("100 per hour")
			}
			return nil
		}
		blocking := rule("blocking", "1 per hour")
		blocking.Block = &ratelimit.Block{After: ratelimit.Per(1, time.Hour), For: time.Hour}
		l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{plan, blocking, rule("other", "5 per hour")}})
		alice, bob := ratelimit.UserKey("alice"), ratelimit.UserKey("bob")
		for _, k := range []ratelimit.Key{alice, bob} {
			for range 2 {
				_, err := l.Take(t.Context(), "plan", k, 3)
				require.NoError(t, err)
				_, err = l.Take(t.Context(), "blocking", k, 1)
				require.NoError(t, err)
			}
		}
		spent := "blocking: blocked until " + time.Now().Add(time.Hour).Format(time.RFC3339) +
			"\nother: 5 left of 5 per hour\nplan: 94 left of 100 per hour\n"
		all := support.Find(t.Context(), l, alice)
		require.Equal(t, spent, summary(all))
		assert.Equal(t, []bool{true, false, false}, []bool{all[0].CanBlock, all[1].CanBlock, all[2].CanBlock})
		assert.Contains(t, summary(support.Find(t.Context(), l, bob)), "plan: 4 left of 10 per hour")

		require.NoError(t, support.Unblock(t.Context(), l, alice))
		assert.Contains(t, summary(support.Find(t.Context(), l, alice)), "plan: 94 left of 100 per hour")
		assert.Empty(t, l.Blocked(alice))
		require.NoError(t, support.Reset(t.Context(), l, alice))
		assert.Equal(t, "blocking: 1 left of 1 per hour\nother: 5 left of 5 per hour\n"+
			"plan: 100 left of 100 per hour\n", summary(support.Find(t.Context(), l, alice)))
		assert.NotEmpty(t, l.Blocked(bob), "nobody else is unblocked")
	})
}

// A rule that bounds requests in flight shows the places of the key that are in use, in any mode.
func TestFindShowsPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		places := ratelimit.Rule{Name: "places", InFlight: 3}
		both := rule("both", "10 per hour")
		both.InFlight = 5
		l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{places, both, rule("none", "unlimited")}})
		leave := make(chan struct{})
		h := l.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-leave }))
		for range 2 {
			go h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
		}
		synctest.Wait()
		all := support.Find(t.Context(), l, ratelimit.AddrKey(netip.MustParseAddr("192.0.2.1")))
		assert.Equal(t, "both: 8 left of 10 per hour\nnone: no limit\nplaces: 2 of 3 in flight\n", summary(all))
		assert.Equal(t, []int64{2, 3, 1}, []int64{all[2].InFlight, all[2].MaxInFlight, all[2].Decision.Remaining})
		assert.Zero(t, all[0].MaxInFlight, "the limit says more")
		assert.Equal(t, "places: 0 of 3 in flight", support.Find(t.Context(), l, ratelimit.UserKey("alice"))[2].String())
		close(leave)
		synctest.Wait()
		all = support.Find(t.Context(), l, ratelimit.AddrKey(netip.MustParseAddr("192.0.2.1")))
		assert.Equal(t, "places: 0 of 3 in flight", all[2].String())
	})
}

// Each state has a text.
func TestStandingsAsText(t *testing.T) {
	over := ratelimit.Decision{Limit: ratelimit.Per(5, time.Hour), RetryAfter: 90 * time.Second}
	away := errors.New("connection refused")
	for want, s := range map[string]support.Standing{
		"r: 0 left of 5 per hour, denied for 1m30s": {Decision: over},
		"r: 0 left of 10 per second, denied for 1s": {
			Decision: ratelimit.Decision{Limit: ratelimit.Per(10, time.Second), RetryAfter: 1},
		},
		"r: 0 left of 1 per second, denied for 2s": {
			Decision: ratelimit.Decision{Limit: ratelimit.Per(1, time.Second), RetryAfter: 1100 * time.Millisecond},
		},
		"r: unknown, because the store has failed": {Decision: ratelimit.Decision{StoreErr: away}},
		"r: connection refused":                    {Err: away},
		"r: 3 left of 5 per hour": {Decision: ratelimit.Decision{
			Limit: ratelimit.Per(5, time.Hour), Remaining: 3, Local: true, StoreErr: away,
		}},
	} {
		s.Rule = "r"
		assert.Equal(t, want, s.String())
	}
}

func TestKeysOfAClient(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.RemoteAddr = "[2001:db8::1]:1"
	r.Header.Set("X-Api-Key", "k-123")
	r.AddCookie(&http.Cookie{Name: "session", Value: "s-1"})
	want := map[string]ratelimit.Key{}
	l := newLimiter(t, ratelimit.Config{
		Rules: []ratelimit.Rule{
			{Name: "addr", Limits: ratelimit.MustParse("9 per hour")},
			{Name: "header", Limits: ratelimit.MustParse("9 per hour"), Key: ratelimit.ByHeader("X-Api-Key")},
			{Name: "cookie", Limits: ratelimit.MustParse("9 per hour"), Key: ratelimit.ByCookie("session")},
		},
	})
	for _, d := range l.Explain(r) {
		want[d.Rule] = d.Key
	}
	header, err := support.HeaderKey("x-api-key", "k-123")
	require.NoError(t, err)
	cookie, err := support.CookieKey("session", "s-1")
	require.NoError(t, err)
	got := map[string]ratelimit.Key{
		"addr": support.AddrKey(l, netip.MustParseAddr("2001:db8::2")), "header": header, "cookie": cookie,
	}
	assert.Equal(t, want, got)
	_, err = support.HeaderKey("X-Api-Key", "")
	require.EqualError(t, err, `support: header field "X-Api-Key" with this value: no request can have it`)
	for _, name := range []string{"", "X Api Key", "X-Api-Key:", "Schlüssel"} {
		_, err = support.HeaderKey(name, "k-123")
		require.ErrorContains(t, err, "with this value: no request can have it", name)
	}
	_, err = support.CookieKey("a b", "x")
	require.EqualError(t, err, `support: cookie "a b" with this value: no request can have it`)
}

// A value that no request can have is not changed into the value of another client.
func TestValuesThatNoRequestHas(t *testing.T) {
	for _, value := range []string{"ab;c", "ab\x01c", "ab\x7f", "abc\n", "abc ", "abc\u00e9", "abc; session=abc"} {
		_, err := support.CookieKey("session", value)
		assert.Error(t, err, "cookie %q", value)
	}
	quoted, err := support.CookieKey("session", `"abc"`)
	require.NoError(t, err)
	plain, err := support.CookieKey("session", "abc")
	require.NoError(t, err)
	assert.Equal(t, plain, quoted, "servers drop the quotes")
	for _, value := range []string{"abc\n", " abc", "abc\t", "a\r\nb", "a\x00b"} {
		_, err := support.HeaderKey("X-Api-Key", value)
		assert.Error(t, err, "header field %q", value)
	}
}

func TestStoreThatIsAway(t *testing.T) {
	broken := ratelimittest.NewStore(ratelimit.NewMemoryStore(ratelimit.MemoryConfig{}))
	away := errors.New("connection refused")
	broken.Fail(away)
	l := newLimiter(t, ratelimit.Config{
		Store: broken, OnStoreFailure: ratelimit.FailOpen, Rules: []ratelimit.Rule{rule("a", "1 per hour"), rule("b", "1 per hour")},
		Hooks: ratelimit.Hooks{Error: func(context.Context, error) {}},
	})
	k := ratelimit.UserKey("alice")
	require.ErrorIs(t, support.Reset(t.Context(), l, k), away)
	for _, s := range support.Find(t.Context(), l, k) {
		require.ErrorIs(t, s.Decision.StoreErr, away)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, s := range support.Find(ctx, l, k) {
		assert.ErrorIs(t, s.Err, context.Canceled)
	}
	assert.ErrorIs(t, support.Unblock(ctx, l, k), context.Canceled)
}

func ExampleFind() {
	ctx := context.Background()
	limiter, err := ratelimit.New(ratelimit.Config{
		Budgets: []ratelimit.Budget{{Name: "emails", Limits: ratelimit.MustParse("20 per hour")}},
	})
	if err != nil {
		panic(err)
	}
	key := ratelimit.UserKey("alice")
	_, _ = limiter.Take(ctx, "emails", key, 5)
	for _, s := range support.Find(ctx, limiter, key) {
		fmt.Println(s)
	}
	fmt.Println(support.Reset(ctx, limiter, key))
	// Output:
	// emails: 15 left of 20 per hour
	// <nil>
}

// A block that only the store knows of stays if the store is away. Unblock says so under every
// OnStoreFailure.
func TestUnblockWhileTheStoreIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, policy := range []ratelimit.FailurePolicy{ratelimit.FailOpen, ratelimit.FailClosed, ratelimit.UseMemory} {
			store := ratelimittest.NewStore(ratelimit.NewMemoryStore(ratelimit.MemoryConfig{}))
			blocking := rule("blocking", "5 per hour")
			blocking.Block = &ratelimit.Block{}
			cfg := ratelimit.Config{
				Rules: []ratelimit.Rule{blocking, rule("other", "5 per hour")}, Store: store, OnStoreFailure: policy,
				Hooks: ratelimit.Hooks{Error: func(context.Context, error) {}},
			}
			one, other, bob := newLimiter(t, cfg), newLimiter(t, cfg), ratelimit.UserKey("bob")
			require.NoError(t, one.Block(t.Context(), "blocking", bob, time.Hour))
			store.Fail(errors.New("away"))
			err := support.Unblock(t.Context(), other, bob)
			require.ErrorContains(t, err, `rule "blocking"`, policy)
			require.ErrorContains(t, err, "away", policy)
			assert.NotContains(t, err.Error(), "other", "it blocks no key")

			store.Fail(nil)
			time.Sleep(3 * time.Second)
			require.NoError(t, support.Unblock(t.Context(), other, bob))
			assert.NotContains(t, summary(support.Find(t.Context(), other, bob)), "blocked")
		}
	})
}
