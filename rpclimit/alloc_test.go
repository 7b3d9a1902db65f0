//go:build !race

package rpclimit_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/rpclimit"
)

// A call allocates its Session, and beyond one rule the decisions. A message of a stream allocates
// nothing beyond its decisions.
func TestAllocations(t *testing.T) {
	for rules, want := range []struct{ call, message float64 }{{0, 0}, {1, 0}, {2, 1}, {2, 1}} {
		t.Run(fmt.Sprint(rules), func(t *testing.T) {
			var cfg rpclimit.Config
			cfg.Limiter = budgets(t, "1000000000 per second", "1000000000 per second", "1000000000 per second")
			cfg.Rules = []rpclimit.Rule{{Name: "a", Methods: []string{"/other.Service/*"}}} // a Guard needs one
			for _, name := range []string{"a", "b", "c"}[:rules] {
				cfg.Rules = append(cfg.Rules, rpclimit.Rule{Name: name, Key: all})
			}
			g, call := guard(t, cfg), callOf(method)
			assert.Equal(t, want.call, testing.AllocsPerRun(1000, func() {
				s, _ := g.Begin(t.Context(), call, nil, false)
				s.End(0, true)
			}), "a call")
			for i := range cfg.Rules {
				cfg.Rules[i].PerMessage = true
			}
			s, d := guard(t, cfg).Begin(t.Context(), call, nil, true)
			require.Nil(t, d)
			assert.Equal(t, want.message, testing.AllocsPerRun(1000, func() { _ = s.Message(nil) }), "a message")
		})
	}
}
