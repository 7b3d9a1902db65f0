package guard

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/ratelimit-go/ratelimit/stats"
	"github.com/ratelimit-go/ratelimit/store"
)

// An outage lasts from the first time that the store is down until it is up, also if it is down
// again in between.
func TestOutage(t *testing.T) {
	at := 10 * time.Second
	g := New(nil, Config{Clock: func() time.Duration { return at }})
	failure := func(text string) *store.Error {
		return &store.Error{Reason: store.ReasonOther, Err: errors.New(text)}
	}
	a, b, c := failure("a"), failure("b"), failure("c")
	for _, step := range []struct {
		at      time.Duration // in seconds
		failure *store.Error
		change  store.State
		want    Outage
	}{
		{10, nil, "", Outage{}},
		{10, b, "", Outage{InARow: 1}},
		{10, nil, "", Outage{}},
		{10, b, "", Outage{InARow: 1}},
		{10, b, "", Outage{InARow: 2}},
		{11, a, store.Down, Outage{Failure: a, InARow: 3}},
		{14, b, "", Outage{Failure: a, InARow: 4, Lasted: 3 * time.Second}},
		{15, nil, store.Recovering, Outage{Failure: a, Lasted: 4 * time.Second}},
		{16, b, store.Down, Outage{Failure: b, InARow: 1, Lasted: 5 * time.Second}},
		{20, nil, store.Up, Outage{Failure: b, Lasted: 9 * time.Second}},
		{30, nil, "", Outage{Failure: b, Lasted: 9 * time.Second}},
		{40, c, store.Down, Outage{Failure: c, InARow: 1}},
		{39, nil, "", Outage{Failure: c}}, // a reading of the clock that is late
		{43, nil, store.Up, Outage{Failure: c, Lasted: 3 * time.Second}},
	} {
		at = step.at * time.Second
		assert.Same(t, step.failure, g.finish(t.Context(), step.change, step.failure))
		assert.Equal(t, step.want, g.Outage(), "at %v", at)
	}
}

// A bucket counts the calls that took at most its bound, also the calls in the buckets before it.
func TestDurations(t *testing.T) {
	var d durations
	for _, took := range []time.Duration{
		0, 100 * time.Microsecond, 100*time.Microsecond + 1, time.Millisecond, 30 * time.Millisecond,
		time.Second, time.Second + 1, time.Hour,
	} {
		d.add(took)
	}
	assert.Equal(t, stats.Durations{
		Count: 8,
		Sum:   time.Hour + 2*time.Second + 31*time.Millisecond + 200*time.Microsecond + 2,
		Buckets: []stats.Bucket{
			{Most: 100 * time.Microsecond, Count: 2},
			{Most: 250 * time.Microsecond, Count: 3},
			{Most: 500 * time.Microsecond, Count: 3},
			{Most: time.Millisecond, Count: 4},
			{Most: 2500 * time.Microsecond, Count: 4},
			{Most: 5 * time.Millisecond, Count: 4},
			{Most: 10 * time.Millisecond, Count: 4},
			{Most: 25 * time.Millisecond, Count: 4},
			{Most: 50 * time.Millisecond, Count: 5},
			{Most: 100 * time.Millisecond, Count: 5},
			{Most: 250 * time.Millisecond, Count: 5},
			{Most: time.Second, Count: 6},
		},
	}, d.read())
}
