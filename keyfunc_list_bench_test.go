package ratelimit_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// BenchmarkListContains looks for an address in a list of 100,000.
func BenchmarkListContains(b *testing.B) {
	l := new(ratelimit.List)
	prefixes := make([]string, 100_000)
	for i := range prefixes {
		n := i << 6
		prefixes[i] = fmt.Sprintf("10.%d.%d.%d", n>>16, n>>8&255, n&255)
	}
	require.NoError(b, l.Replace(prefixes))
	r := with()
	b.ReportAllocs()
	for b.Loop() {
		l.Contains(r)
	}
}
