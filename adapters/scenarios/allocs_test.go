//go:build !race

package scenarios_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// An adapter allocates once beyond what the limiter allocates under net/http. The path values of a
// route are two more allocations, of net/http. fiber is not net/http and needs about twenty.
func TestAllocations(t *testing.T) {
	want := map[string]float64{"gin": 1, "echo v5": 1, "echo v4": 1}
	for _, rl := range costRules {
		all := pairs(t, rl, "/x")
		limiter := all[0].allocs()
		for _, p := range all {
			if most, ok := want[p.name]; ok {
				assert.LessOrEqual(t, p.allocs()-limiter, most, "%s: %s", p.name, rl.Name)
			}
		}
	}
}
