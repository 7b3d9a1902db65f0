//go:build !race

package scenarios_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// An adapter allocates once beyond what the limiter allocates under net/http. The path values of a
// route are two more allocations, of net/http: see SetPathValue. fiber is not net/http: its adapter
// allocates 14 times, or 19 times if the response decides.
func TestAllocations(t *testing.T) {
	for _, path := range []string{"/x", "/items/1"} {
		values := 0.0
		if path != "/x" {
			values = 2
		}
		for i, rl := range costRules {
			want := map[string]float64{
				"gin": 1 + values, "echo v5": 1 + values, "echo v4": 1 + values, "fiber": []float64{14, 19}[i],
			}
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
