//go:build !race

package scenarios_test

import (
	"fmt"
	"testing"

	"github.com/gofiber/fiber/v3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/adapters/fiberlimit"
)

// An adapter allocates once beyond what the limiter allocates under net/http. If a function of the
// user may see the request, the path values of a route are two more allocations, of net/http: see
// SetPathValue. fiber is not net/http: if no function sees the request, its adapter uses memory
// again, and allocates nothing. If one does, everything is allocated. If the response decides, a
// coroutine is, too.
func TestAllocations(t *testing.T) {
	ofFiber := map[string]float64{"limit": 0, "users": 6, "failures": 18}
	for _, path := range []string{"/x", "/items/1"} {
		for _, rl := range costRules {
			most := 1.0
			if path != "/x" && rl.Name != "limit" {
				most = 3
			}
			want := map[string]float64{"gin": most, "echo v5": most, "echo v4": most, "fiber": ofFiber[rl.Name]}
			all := pairs(t, rl, path)
			limiter := all[0].allocs()
			for _, p := range all {
				if most, ok := want[p.name]; ok {
					assert.LessOrEqual(t, p.allocs()-limiter, most, "%s: %s %s", p.name, rl.Name, path)
				}
			}
		}
	}
}

// Under a decorator of its own, a route of fiber with a parameter and many fields costs as little,
// if no function of the user sees the request. Path values are copied for a function that does.
func TestAllocationsOfRoute(t *testing.T) {
	for _, tc := range []struct {
		rule   ratelimit.Rule
		fields int
		most   float64 // beyond what the limiter allocates
	}{{costRules[0], 0, 0}, {costRules[0], 20, 0}, {costRules[1], 0, 9}} {
		l, err := ratelimit.New(ratelimit.Config{})
		require.NoError(t, err)
		with := l.With(tc.rule)
		var fields [][2]string
		for i := range tc.fields {
			fields = append(fields, [2]string{fmt.Sprint("X-", i), "value"})
		}
		next := func(c fiber.Ctx) error { return c.Next() }
		route := pair{
			plain:   serveFastRoute("/items/1", next, fields...),
			limited: serveFastRoute("/items/1", fiberlimit.Wrap(with), fields...),
		}
		limiter := pairs(t, tc.rule, "/items/1")[0].allocs()
		assert.LessOrEqual(t, route.allocs()-limiter, tc.most, tc.rule.Name)
	}
}
