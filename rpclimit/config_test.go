package rpclimit_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/rpclimit"
)

func TestEveryMistakeIsReported(t *testing.T) {
	_, err := rpclimit.New(rpclimit.Config{
		Limiter: budgets(t, "1 per hour"),
		Exempt:  []string{"Service/Method"},
		Rules: []rpclimit.Rule{
			{Name: "b", Methods: []string{"/pkg.*/Method", "/pkg.Service", "/a/b/c", ""}},
			{Name: "a", OnMissingKey: "ignore", MaxWait: 2 * time.Hour},
			{Name: "a", PerMessage: true, CountOnly: rpclimit.Failures, MaxWait: time.Microsecond},
		},
		InFlight: []rpclimit.InFlight{{}, {Name: "x", Max: -1}, {Name: "x", Max: 1}},
		Store:    ratelimit.NewMemoryStore(ratelimit.MemoryConfig{}), StoreTimeout: 50, LeaseTTL: 30,
	})
	want := []string{
		`Exempt: pattern "Service/Method": want "/pkg.Service/Method", "/pkg.Service/*" or "*"`,
		`Rules[0].Name: "b": the Limiter has no such budget: want the name of one`,
		`Rules[0].Methods: pattern "/pkg.*/Method"`, `pattern "/pkg.Service"`, `pattern "/a/b/c"`, `pattern ""`,
		`Rules[1].OnMissingKey: "ignore": want share, deny or skip`,
		`Rules[1].MaxWait: 2h0m0s: want 0, or from 1ms to 1h`,
		`Rules[2].MaxWait: 1µs`,
		`Rules[2].CountOnly: beside PerMessage`,
		`InFlight[0].Name: "": want 1 to 64 printable ASCII characters`,
		`InFlight[0].Max: 0: want from 1 to 1,000,000`,
		`InFlight[1].Max: -1`,
		`InFlight[2].Name: "x" is there twice`,
		`StoreTimeout: 50ns: want at least`, `LeaseTTL: 30ns: want 1s to 1h`,
		`Store: *ratelimit.MemoryStore: want a store.Leaser`,
	}
	for _, text := range want {
		assert.ErrorContains(t, err, text)
	}
	var mistake *ratelimit.ConfigError
	require.ErrorAs(t, err, &mistake)
	assert.Len(t, strings.Split(err.Error(), "\n"), len(want))

	_, err = rpclimit.New(rpclimit.Config{})
	assert.ErrorContains(t, err, "Limiter: nil: want the limiter")
}

// A Guard that limits nothing is a mistake, such as rules that stand in the Config of the limiter.
func TestNoRulesAreAMistake(t *testing.T) {
	l := limiter(t, ratelimit.Config{
		Rules: []ratelimit.Rule{{Name: "per-client", Limits: ratelimit.MustParse("1 per hour")}},
	})
	_, err := rpclimit.New(rpclimit.Config{Limiter: l, Exempt: []string{"/a.A/*"}})
	assert.EqualError(t, err, "ratelimit: Rules: none, and no InFlight, so that no call is limited: "+
		"want at least one (Rules of a ratelimit.Config limit no calls by themselves)")

	_, err = rpclimit.New(rpclimit.Config{Limiter: l, Rules: []rpclimit.Rule{{Name: "per-client"}}})
	assert.NoError(t, err)
	_, err = rpclimit.New(rpclimit.Config{Limiter: l, InFlight: []rpclimit.InFlight{{Name: "x", Max: 1}}})
	assert.NoError(t, err)
}

// TestBudgetThatStandsAlone has a budget with a MaxWait meet another rule.
func TestBudgetThatStandsAlone(t *testing.T) {
	l := limiter(t, ratelimit.Config{Budgets: []ratelimit.Budget{
		{Name: "queue", Limits: ratelimit.MustParse("1 per second"), MaxWait: time.Second},
		{Name: "plain", Limits: ratelimit.MustParse("1 per hour")},
	}})
	with := func(queue, plain string) error {
		_, err := rpclimit.New(rpclimit.Config{Limiter: l, Rules: []rpclimit.Rule{
			{Name: "queue", Methods: []string{queue}}, {Name: "plain", Methods: []string{plain}},
		}})
		return err
	}
	assert.NoError(t, with("/a/b", "/a/c"))
	assert.NoError(t, with("/a/*", "/b/*"))
	const want = `Rules[0].Name: "queue" has a Block or MaxWait, and another rule applies to the same methods`
	for _, methods := range [][2]string{{"/a/b", "/a/b"}, {"/a/*", "/a/b"}, {"/a/b", "/a/*"}, {"*", "/a/b"}, {"/a/b", "*"}} {
		assert.ErrorContains(t, with(methods[0], methods[1]), want, "%v", methods)
	}
}

func TestMethods(t *testing.T) {
	tests := []struct {
		name    string
		methods []string
		method  string
		applies bool
	}{
		{"no pattern", nil, "/a/b", true},
		{"everything", []string{"*"}, "/a/b", true},
		{"the method", []string{"/a/b"}, "/a/b", true},
		{"another method", []string{"/a/b"}, "/a/c", false},
		{"its service", []string{"/a/*"}, "/a/b", true},
		{"another service", []string{"/a/*"}, "/ab/b", false},
		{"a longer method", []string{"/a/*"}, "/a/b/c", false},
		{"several", []string{"/a/c", "/b/*"}, "/b/c", true},
		{"no slash in front", []string{"/a/b"}, "a/b", true},
		{"empty method", []string{"/a/b"}, "", false},
		{"empty method and everything", []string{"*"}, "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := guard(t, rpclimit.Config{
				Limiter: budgets(t, "1 per hour"), Rules: []rpclimit.Rule{{Name: "a", Methods: tt.methods}},
			})
			assert.Nil(t, begin(t.Context(), g, tt.method))
			assert.Equal(t, tt.applies, begin(t.Context(), g, tt.method) != nil)
		})
	}
}

// TestRulesAddUp has a method meet the rules for itself, its service and everything.
func TestRulesAddUp(t *testing.T) {
	l := budgets(t, "9 per hour", "9 per hour", "9 per hour")
	g := guard(t, rpclimit.Config{
		Limiter: l,
		Rules: []rpclimit.Rule{
			{Name: "a", Key: all},
			{Name: "b", Key: all, Methods: []string{"/s/*"}},
			{Name: "c", Key: all, Methods: []string{"/s/m"}},
		},
		Exempt: []string{"/s/free", "/health/*"},
	})
	for _, m := range []string{"/s/m", "/s/other", "/t/m", "/s/free", "/health/check"} {
		require.Nil(t, begin(t.Context(), g, m), m)
	}
	assert.EqualValues(t, []int64{6, 7, 8}, []int64{left(t, l, "a"), left(t, l, "b"), left(t, l, "c")})
}

func TestNoRules(t *testing.T) {
	var none *rpclimit.Guard
	s, d := none.Begin(t.Context(), callOf(method), nil, true)
	assert.Nil(t, s)
	assert.Nil(t, d)
	assert.Nil(t, s.Message(nil))
	assert.Nil(t, s.Denied())
	s.End(0, true)
	policy, limit := s.Fields()
	assert.Empty(t, policy+limit)
	_, ok := rpclimit.DecisionFrom(t.Context())
	assert.False(t, ok)
}
