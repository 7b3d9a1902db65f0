package suggest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/accesslog"
	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/replay"
	"github.com/ratelimit-go/ratelimit/policyfile"
)

// bruteForce returns the smallest N for which a bucket denies none of the requests.
func bruteForce(at []int64, period time.Duration) int32 {
	var n int32
	for i := range at {
		for j := i; j < len(at); j++ {
			n = max(n, least(int64(j-i+1), at[j]-at[i], period))
		}
	}
	return n
}

// bursts returns times with bursts and pauses, on a grid.
func bursts(random *rand.Rand, n int, grid time.Duration) []int64 {
	at, now := make([]int64, n), int64(1_795_132_800_000_000_000)
	for i := range at {
		if random.IntN(3) == 0 {
			now += int64(grid) * int64(random.IntN(3))
		}
		if random.IntN(20) == 0 {
			now += int64(grid) * int64(random.IntN(200))
		}
		at[i] = now
	}
	return at
}

func TestNeedIsTheSmallestLimitThatDeniesNothing(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		grid := []time.Duration{time.Second, time.Millisecond, 7 * time.Minute}[random.IntN(3)]
		at := bursts(random, 1+random.IntN(150), grid)
		for p, period := range periods {
			var n need
			for _, one := range at {
				n.add(one, period)
			}
			require.Equal(t, bruteForce(at, period), n.smallest, "%v %v", period, at)
			require.GreaterOrEqual(t, n.most, (n.smallest+1)/2, "period %d", p)
			require.LessOrEqual(t, len(n.hull), maxHull)
		}
	}
}

// TestTheLimiterAgreesWithNeed runs the limiter under N and under N-1 per period.
func TestTheLimiterAgreesWithNeed(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	denied := func(at []int64, limit ratelimit.Limit) (n int) {
		engine, err := replay.New(replay.Policy{Config: ratelimit.Config{Rules: []ratelimit.Rule{
			{Name: "a", Limits: ratelimit.Limits{limit}},
		}}}, replay.Options{})
		require.NoError(t, err)
		for _, one := range at {
			e := newEntry(t, "192.0.2.1", "/", time.Unix(0, one))
			r, err := engine.Serve(e)
			require.NoError(t, err)
			if r.Denied {
				n++
			}
		}
		return n
	}
	for range 15 {
		at := bursts(random, 100, 300*time.Millisecond)
		for _, period := range periods {
			smallest := int64(bruteForce(at, period))
			require.Zero(t, denied(at, ratelimit.Per(smallest, period)))
			if smallest > 1 {
				require.NotZero(t, denied(at, ratelimit.Per(smallest-1, period)))
			}
		}
	}
}

func TestABoundedHullNeverNeedsLess(t *testing.T) {
	t.Parallel()
	for _, power := range []float64{0.3, 0.6, 0.9, 1.2} {
		var at []int64
		now := int64(0)
		for i := range 600 { // ever faster, so that many requests are on the hull
			now += int64(float64(time.Hour) / math.Pow(float64(i+1), power))
			at = append(at, now)
		}
		at = append(at, now+int64(20*time.Hour)) // and then a pause, in which a hull too small would show
		for range 300 {
			at = append(at, at[len(at)-1]+int64(time.Minute))
		}
		var n need
		for i, one := range at {
			n.add(one, time.Hour)
			require.LessOrEqual(t, len(n.hull), maxHull)
			if i%100 == 99 {
				smallest := bruteForce(at[:i+1], time.Hour)
				require.GreaterOrEqual(t, n.smallest, smallest, "%g: %d", power, i)
				require.Less(t, n.smallest, 2*smallest, "%g: %d", power, i)
			}
		}
	}
}

func TestMergedPointsBeginSteeperLines(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(7, 8))
	for range 200 {
		n := need{hull: []point{{0, 0}}}
		for len(n.hull) < 8 {
			last := n.hull[len(n.hull)-1]
			n.hull = append(n.hull, point{last.at + 1 + random.Int64N(50), last.before + 1 + random.Int32N(50)})
		}
		steepest := func(end point) (slope float64) {
			for _, p := range n.hull {
				slope = max(slope, float64(end.before-p.before)/float64(100+end.at-p.at))
			}
			return slope
		}
		var before []float64
		var ends []point
		for range 50 {
			ends = append(ends, point{n.hull[7].at + random.Int64N(200), n.hull[7].before + 1 + random.Int32N(200)})
			before = append(before, steepest(ends[len(ends)-1]))
		}
		n.merge()
		require.Len(t, n.hull, 7)
		for i, end := range ends {
			require.GreaterOrEqual(t, steepest(end), before[i])
		}
	}
}

func newEntry(t testing.TB, client, target string, at time.Time) *accesslog.Entry {
	e, err := accesslog.NewEntry("GET", target, netip.MustParseAddr(client))
	require.NoError(t, err)
	e.Time = at
	return e
}

func TestCollapse(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"GET /":                             "GET /{$}",
		"HEAD /orders":                      "GET /orders",
		"POST /orders/":                     "POST /orders/{$}",
		"GET /orders/17/items/4?x=1":        "GET /orders/{id}/items/{id2}",
		"GET /u/6f1c8c9e-0c3b-4d8e-9b7a-01": "GET /u/{id}",
		"GET /u/deadbeef42/profile":         "GET /u/{id}/profile",
		"GET /v2/search":                    "GET /v2/search",
		"GET /user12345":                    "GET /{id}",
		"GET /a%20b/c":                      "GET /{id}/c",
		"GET /a{b}":                         "GET /{id}",
		"GET /" + strings.Repeat("x", 40):   "GET /{id}",
		"GET /1/2/3/4/5/6/7/8/9/10":         "GET /{id}/{id2}/{id3}/{id4}/{id5}/{id6}/{id7}/{id8}/{rest...}",
		"GET //evil/path":                   "",
		"GET /a/../b":                       "",
		"OPTIONS *":                         "",
		"PURGE /a":                          "",
	} {
		method, target, _ := strings.Cut(in, " ")
		e, err := accesslog.NewEntry(method, target, netip.MustParseAddr("192.0.2.1"))
		require.NoError(t, err, in)
		got := Collapse(e)
		assert.Equal(t, want, got, in)
		if got != "" {
			assert.Equal(t, got, newMux([]string{got}).find(e), "ServeMux finds the pattern")
		}
	}
}

// crowd adds requests of clients that differ in how much they ask.
func crowd(t testing.TB, add func(*accesslog.Entry)) {
	random := rand.New(rand.NewPCG(5, 6))
	type one struct {
		at     time.Time
		client int
	}
	var all []one
	start := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	for client := range 500 {
		for range 1 + random.IntN(1+client/10) {
			all = append(all, one{start.Add(time.Duration(random.IntN(7200)) * time.Second), client})
		}
	}
	slices.SortFunc(all, func(a, b one) int { return a.at.Compare(b.at) })
	for _, r := range all {
		targets := []string{"/", "/orders/" + fmt.Sprint(random.IntN(99)), "/orders/new", fmt.Sprintf("/rare/w%s", strings.Repeat("x",
			random.IntN(20)))}
		add(newEntry(t, fmt.Sprintf("192.0.%d.%d", r.client>>8, r.client&255), targets[random.IntN(4)], r.at))
	}
}

// TestSuggestedLimitsDenyAtMostTheShare replays what is suggested, for several shares.
func TestSuggestedLimitsDenyAtMostTheShare(t *testing.T) {
	t.Parallel()
	table := NewTable(Collapse)
	crowd(t, table.Add)
	before := int64(1 << 30)
	for _, share := range []float64{0, 0.01, 0.3} {
		for _, routes := range []int{0, 20} {
			s := table.Suggest(Options{Share: share, Routes: routes})
			require.LessOrEqual(t, float64(s.Denied), share*500)
			var b strings.Builder
			require.NoError(t, s.WritePolicy(&b, []string{"a comment\nof two lines"}))
			file, err := policyfile.Parse([]byte(b.String()), policyfile.Options{})
			require.NoError(t, err, b.String())
			engine, err := replay.New(replay.Policy{Config: file.Config()}, replay.Options{})
			require.NoError(t, err)
			denied := map[ratelimit.Key]bool{}
			crowd(t, func(e *accesslog.Entry) {
				r, err := engine.Serve(e)
				require.NoError(t, err)
				if r.Denied {
					denied[r.Client] = true
				}
			})
			require.EqualValues(t, s.Denied, len(denied), "share %g, %d routes: the limiter denies whom the suggestion says", share, routes)
			if routes == 0 {
				require.LessOrEqual(t, s.All.Limits[2], before, "a greater share gives smaller limits")
				before = s.All.Limits[2]
			}
		}
	}
}

func TestTheShareIsExact(t *testing.T) {
	t.Parallel()
	table := NewTable(func(*accesslog.Entry) string { return "" })
	for client := range 100 {
		addr := fmt.Sprintf("192.0.2.%d", client)
		table.Add(newEntry(t, addr, "/", time.Unix(0, 0)))
		if client < 29 {
			table.Add(newEntry(t, addr, "/", time.Unix(0, 0)))
		}
	}
	s := table.Suggest(Options{Share: 0.29})
	assert.EqualValues(t, 29, s.Denied, "0.29 * 100 is less than 29")
	assert.Equal(t, [3]int64{0, 0, 1}, s.All.Limits)
	assert.Zero(t, table.Suggest(Options{Share: 0.28}).Denied)
}

func TestRoutesOfOtherPatternsAreChosenToo(t *testing.T) {
	t.Parallel()
	table := NewTable(Collapse)
	crowd(t, table.Add)
	chosen, left := table.busiest(2)
	var patterns []string
	for _, r := range chosen {
		patterns = append(patterns, r.pattern)
	}
	assert.Equal(t, []string{"GET /orders/new", "GET /orders/{id}", "GET /{$}"}, slices.Sorted(slices.Values(patterns)))
	assert.Equal(t, 20, left)
}

func TestRoutesAreBounded(t *testing.T) {
	t.Parallel()
	table := NewTable(Collapse)
	for i := range 2000 {
		word := strings.NewReplacer("0", "a", "1", "b", "2", "c", "3", "d", "4", "e", "5", "f", "6", "g", "7", "h", "8", "i", "9",
			"j").Replace(fmt.Sprint(i))
		table.Add(newEntry(t, "192.0.2.1", "/"+word, time.Unix(int64(i), 0)))
	}
	assert.Len(t, table.routes, MaxRoutes)
	assert.EqualValues(t, 2000-MaxRoutes, table.skipped)
}

// TestProbesDoNotHideBusyRoutes has an attacker who tries 20,000 paths before and while clients use
// a route.
func TestProbesDoNotHideBusyRoutes(t *testing.T) {
	t.Parallel()
	table := NewTable(Collapse)
	random := rand.New(rand.NewPCG(9, 9))
	probe := func() string {
		word := []byte("/wp-")
		for range 12 {
			word = append(word, byte('g'+random.IntN(20)))
		}
		return string(word)
	}
	for i := range 20_000 {
		at := time.Unix(int64(i/10), 0)
		table.Add(newEntry(t, "198.51.100.9", probe(), at))
		if i >= 10_000 && i%20 == 0 {
			table.Add(newEntry(t, "192.0.2.1", "/checkout", at))
		}
	}
	s := table.Suggest(Options{Routes: 1})
	require.Len(t, s.Routes, 1)
	assert.Equal(t, "GET /checkout", s.Routes[0].Pattern)
	assert.EqualValues(t, 500, s.Routes[0].Requests)
	counted := int64(0)
	for _, r := range table.routes {
		counted += r.requests
	}
	assert.EqualValues(t, 20_500, counted+s.Skipped, "what was left out is counted")
}

// Clients choose paths, and each of them must give a pattern that a policy file can have.
func TestLongPathsGivePatternsOfAFile(t *testing.T) {
	t.Parallel()
	table := NewTable(Collapse)
	for i := range 3 {
		path := strings.Repeat("/"+strings.Repeat(string(rune('x'+i)), 32), 9)
		table.Add(newEntry(t, "192.0.2.1", path, time.Unix(int64(i), 0)))
	}
	var b strings.Builder
	s := table.Suggest(Options{Routes: 3})
	require.Len(t, s.Routes, 3)
	require.NoError(t, s.WritePolicy(&b, nil))
	_, err := policyfile.Parse([]byte(b.String()), policyfile.Options{})
	require.NoError(t, err)
}

func TestAsManyRoutesAsAreCountedFitIntoAFile(t *testing.T) {
	t.Parallel()
	table := NewTable(Collapse)
	for i := range MaxRoutes {
		word := strings.Repeat("x", 1+i/10%30) + strings.Repeat("y", i/300)
		table.Add(newEntry(t, "192.0.2.1", fmt.Sprintf("/r%d/%s", i%10, word), time.Unix(int64(i), 0)))
	}
	var b strings.Builder
	s := table.Suggest(Options{Routes: MaxRoutes})
	require.NoError(t, s.WritePolicy(&b, nil))
	_, err := policyfile.Parse([]byte(b.String()), policyfile.Options{})
	require.NoError(t, err)
}

func TestByPatterns(t *testing.T) {
	t.Parallel()
	group := ByPatterns([]string{"GET /orders/{id}", "/a/"})
	for target, want := range map[string]string{"/orders/7": "GET /orders/{id}", "/a/b": "/a/", "/c": ""} {
		assert.Equal(t, want, group(newEntry(t, "192.0.2.1", target, time.Unix(0, 0))))
	}
}

func TestHeadroomAndSuperfluousLimits(t *testing.T) {
	t.Parallel()
	r := newRoute("", nil)
	r.add(0, int64(time.Hour))
	assert.Equal(t, [len(periods)]int64{0, 0, 5}, r.describe([len(periods)]int32{2, 2, 2}, 2.5).Limits)
	assert.Equal(t, [len(periods)]int64{2, 0, 0}, r.describe([len(periods)]int32{2, 120, 7200}, 1).Limits)
	assert.Equal(t, [len(periods)]int64{2, 100, 0}, r.describe([len(periods)]int32{2, 100, 6000}, 1).Limits)
}
