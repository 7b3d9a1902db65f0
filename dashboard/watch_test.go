package dashboard

import (
	"net/http"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// A Take that a rule in dry-run mode would deny is in the list of such requests.
func TestTakeInDryRunIsShown(t *testing.T) {
	l := newLimiter(t, ratelimit.Rule{
		Name: "trial", Limits: ratelimit.MustParse("2 per hour"), Mode: ratelimit.DryRun,
	})
	p := newPage(t, l, Config{})
	for range 5 {
		d, err := l.Take(t.Context(), "trial", ratelimit.UserKey("batch"), 1)
		require.NoError(t, err)
		require.True(t, d.Allowed)
	}
	v := p.view(now(), false)
	require.Len(t, v.DryRun.List, 1)
	assert.Equal(t, clientView{Who: who{Text: "user:batch"}, Rule: "trial", Least: "3"}, v.DryRun.List[0])
	assert.Equal(t, int64(3), l.Stats().Rules[1].DryRun)
}

// The page lists the clients that the counter NearLimit counts, for every Config.NearLimit.
func TestNearShareOfTheLimiter(t *testing.T) {
	for _, c := range []struct {
		share float64
		note  string
		near  map[int]bool // by how many of 10 tokens are left
	}{
		{0, "20 %", map[int]bool{5: false, 4: false, 2: false, 1: true}},
		{0.5, "50 %", map[int]bool{6: false, 5: false, 4: true, 1: true}},
		{0.125, "12.5 %", map[int]bool{2: false, 1: true, 0: true}},
	} {
		l, err := ratelimit.New(ratelimit.Config{
			NearLimit: c.share, Rules: []ratelimit.Rule{{Name: "r", Limits: ratelimit.MustParse("10 per hour")}},
		})
		require.NoError(t, err)
		p := newPage(t, l, Config{})
		near := 0
		for left, want := range c.near {
			k := ratelimit.UserKey(strconv.Itoa(left))
			_, err := l.Take(t.Context(), "r", k, int64(10-left))
			require.NoError(t, err)
			if want {
				near++
			}
			listed := slices.ContainsFunc(p.view(now(), false).Near.List, func(v clientView) bool {
				return v.Who.Text == k.String()
			})
			assert.Equal(t, want, listed, "%v: %d of 10 left", c.share, left)
			class := p.find(t.Context(), k).Used[0].Class
			assert.Equal(t, want, class == "warn" || class == "bad", "%v: %d of 10 left", c.share, left)
		}
		assert.EqualValues(t, near, l.Stats().Rules[0].NearLimit)
		_, body := get(p, "/")
		assert.Contains(t, body, "less than "+c.note+" of the burst left")
	}
}

// A page shows clients near a limit, and who asks most, while all rules are tried out.
func TestDryRunIsShown(t *testing.T) {
	rule := func(name, limits string, mode ratelimit.Mode) ratelimit.Rule {
		return ratelimit.Rule{Name: name, Limits: ratelimit.MustParse(limits), Mode: mode}
	}
	for name, rules := range map[string][]ratelimit.Rule{
		"all in dry run": {rule("a", "10 per hour", ratelimit.DryRun), rule("b", "12 per hour", ratelimit.DryRun)},
		"one in force":   {rule("a", "10 per hour", ratelimit.DryRun), rule("c", "100 per hour", ratelimit.Enforce)},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := ratelimit.New(ratelimit.Config{Rules: rules})
			require.NoError(t, err)
			p := newPage(t, l, Config{})
			request(l.Handler(ok), "", 9)
			v := p.view(now(), false)
			require.Len(t, v.Near.List, 1)
			assert.Equal(t, clientView{Who: who{Text: "addr:192.0.2.1"}, Rule: "a", Least: "1", Left: "10 %"}, v.Near.List[0])
			request(l.Handler(ok), "", 6)
			v = p.view(now(), false)
			require.Len(t, v.Asking.List, 1)
			assert.Equal(t, "15", v.Asking.List[0].Least, "each request counts once")
			assert.Empty(t, v.Asking.List[0].Most)
			left := 0
			p.watch.tried.Range(func(any, any) bool { left++; return true })
			assert.Zero(t, left)
		})
	}
}

// A request that passes several handlers of a limiter is one request of its client, and a denied
// one if any of them denies it. A handler of another limiter around them changes nothing.
func TestRequestThroughSeveralHandlersCountsOnce(t *testing.T) {
	for name, around := range map[string]func(http.Handler) http.Handler{
		"alone":           func(h http.Handler) http.Handler { return h },
		"another limiter": newLimiter(t, ratelimit.Rule{Name: "all", Limits: ratelimit.MustParse("9 per hour")}).Handler,
	} {
		l := newLimiter(t)
		p := newPage(t, l, Config{})
		user := ratelimit.ByUser(func(r *http.Request) string { return r.Header.Get("User") })
		inner := l.Limit("2 per hour", user)(l.Limit("100 per hour")(ok))
		assert.Equal(t, 429, request(around(l.Handler(inner)), "bob", 3), name)
		assert.Equal(t, point{allowed: 2, denied: 1}, p.watch.total(), name)
		assert.Equal(t, []string{"user:bob 3", "addr:192.0.2.1 2"}, asked(p), name)
	}
}

// A Take of a handler belongs to its request. If it is denied, that is a denial beside.
func TestTakeInARequestCountsOnce(t *testing.T) {
	l := newLimiter(t, ratelimit.Rule{Name: "emails", Limits: ratelimit.MustParse("9 per hour")})
	p := newPage(t, l, Config{})
	h := l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := l.Take(r.Context(), "emails", ratelimit.UserKey("bob"), 5)
		assert.NoError(t, err)
		w.WriteHeader(http.StatusNoContent)
	}))
	request(h, "bob", 1)
	assert.Equal(t, point{allowed: 1}, p.watch.total())
	assert.ElementsMatch(t, []string{"user:bob 1", "addr:192.0.2.1 1"}, asked(p))
	request(h, "bob", 1)
	assert.Equal(t, point{allowed: 2, denied: 1}, p.watch.total())
}

// asked returns the keys with the most requests, and how many.
func asked(p *Page) (list []string) {
	for _, c := range p.view(now(), false).Asking.List {
		list = append(list, c.Who.Text+" "+c.Least+c.Most)
	}
	return list
}
