package tally

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/ratelimit-go/ratelimit/stats"
)

func TestEachReasonHasAnOutcome(t *testing.T) {
	for o := Limit; o < Unknown; o++ {
		assert.Equal(t, o, OutcomeOf(names[o]))
		assert.NotEmpty(t, names[o])
	}
	assert.Equal(t, Unknown, OutcomeOf("some new reason"))
	assert.Equal(t, Unknown, OutcomeOf("allowed"), "is no denial")
}

// A Cache loses nothing, whichever rules take turns.
func TestCache(t *testing.T) {
	var a, b Rule
	var c Cache
	c.Flush()
	c.Add(&a, Allowed)
	c.Add(&a, Limit)
	c.Add(&b, Allowed)
	c.Add(&b, Allowed)
	c.Add(&a, ExceedsBurst)
	c.Flush()
	c.Flush()
	var sa, sb stats.Rule
	a.Fill(&sa)
	b.Fill(&sb)
	assert.Equal(t, stats.Rule{Allowed: 1, Denied: map[string]int64{"limit": 1, "exceeds-burst": 1}}, sa)
	assert.Equal(t, stats.Rule{Allowed: 2, Denied: map[string]int64{}}, sb)
}
