package inflight

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestWait(t *testing.T) {
	for _, tc := range []struct {
		name    string
		took    time.Duration // by each request until now
		n, most int
		want    time.Duration
	}{
		{name: "no request yet", n: 1, most: 1, want: time.Second},
		{name: "at least a second", took: 100 * time.Millisecond, n: 1, most: 1, want: time.Second},
		{name: "one request", took: 20 * time.Second, n: 1, most: 1, want: 20 * time.Second},
		{name: "the first of four ends", took: 20 * time.Second, n: 4, most: 4, want: 5 * time.Second},
		{name: "fractions of seconds", took: 21 * time.Second, n: 4, most: 4, want: 5250 * time.Millisecond},
		{name: "at most a minute", took: time.Hour, n: 1, most: 1, want: time.Minute},
		{name: "the first of many ends", took: time.Hour, n: 90, most: 90, want: 40 * time.Second},
		{name: "three of four must end", took: 20 * time.Second, n: 4, most: 2, want: 15 * time.Second},
		{name: "more are allowed", took: 20 * time.Second, n: 2, most: 4, want: time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var m Meter
			for range 10 {
				m.Took(tc.took)
			}
			assert.Equal(t, tc.want, m.Wait(tc.n, tc.most))
		})
	}
}

func TestWaitFollowsRecentRequests(t *testing.T) {
	var m Meter
	m.Took(8 * time.Second)
	m.Took(16 * time.Second)
	assert.Equal(t, 9*time.Second, m.Wait(1, 1), "an eighth of the difference")
	for range 200 {
		m.Took(3 * time.Second)
	}
	assert.InDelta(t, 3*time.Second, m.Wait(1, 1), float64(time.Microsecond))
}
