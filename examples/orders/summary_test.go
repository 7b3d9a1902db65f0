package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestSummaryIsByNearestRank(t *testing.T) {
	samples := make([]sample, 100)
	for i := range samples {
		samples[i].took = time.Duration(100-i) * time.Millisecond
	}
	assert.Equal(t, summary{p50: 50 * time.Millisecond, p99: 99 * time.Millisecond, sent: 100}, summarize(samples, time.Second))

	samples[0].failed, samples[1].failed = true, true
	assert.Equal(t, summary{p50: 50 * time.Millisecond, p99: time.Second, sent: 100, errors: 2}, summarize(samples, time.Second),
		"a failed request counts as the patience of the client")
	assert.Equal(t, summary{p50: 3, p99: 3, sent: 1}, summarize([]sample{{took: 3}}, time.Second))
	assert.Equal(t, summary{}, summarize(nil, time.Second))
}
