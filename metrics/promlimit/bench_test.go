package promlimit

import (
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// BenchmarkScrape gathers the metrics of a limiter with 200 rules.
func BenchmarkScrape(b *testing.B) {
	var rules []ratelimit.Rule
	for i := range 200 {
		rules = append(rules, ratelimit.Rule{
			Name: fmt.Sprintf("rule-%d", i), Limits: ratelimit.MustParse("100 per minute; 1000 per day"),
		})
	}
	limiter, err := ratelimit.New(ratelimit.Config{Rules: rules})
	require.NoError(b, err)
	registry := prometheus.NewRegistry()
	registry.MustRegister(Collector(limiter))
	for b.Loop() {
		_, err := registry.Gather()
		require.NoError(b, err)
	}
}
