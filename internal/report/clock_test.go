package report

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// While a clock panics it stands still, and each panic is reported.
func TestClockThatPanics(t *testing.T) {
	var told []string
	r := New("test", "test", func(_ context.Context, err error) { told = append(told, err.Error()) })
	now, broken := time.Unix(1e9, 0), true
	clock := r.Clock(func() time.Time {
		if broken {
			panic("no time")
		}
		return now
	})
	assert.Zero(t, clock())
	broken = false
	assert.Equal(t, now, clock())
	now, broken = now.Add(time.Hour), true
	assert.Equal(t, time.Unix(1e9, 0), clock())
	broken = false
	assert.Equal(t, now, clock())
	now = now.Add(-time.Minute)
	assert.Equal(t, now, clock(), "it may go back")
	assert.Equal(t, []string{"test: Clock: panic: no time", "test: Clock: panic: no time"}, told)
	assert.Nil(t, r.Clock(nil))
}
