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
		"what failed counts as the patience of the client")
	assert.Equal(t, summary{p50: 3, p99: 3, sent: 1}, summarize([]sample{{took: 3}}, time.Second))
	assert.Equal(t, summary{}, summarize(nil, time.Second))
}

func TestBoundIsBurstAndWhatFlowsIn(t *testing.T) {
	for limit, want := range map[string]int{
		"":                      0,
		"5 per 15 minutes":      5,
		"20 per hour burst 5":   5,
		"30 per minute burst 4": 4 + 30,
		"60 per minute":         60 + 60,
	} {
		assert.Equal(t, want, (&attack{limit: limit}).bound(time.Minute, 0), limit)
	}
	assert.Equal(t, 10, (&attack{limit: perAccount}).bound(time.Minute, 1), "the owner has logged in")
}
