package memory_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/ratelimit-go/ratelimit/internal/memory"
)

func TestSince(t *testing.T) {
	assert.Nil(t, memory.Since(nil))
	var now time.Time
	since := memory.Since(func() time.Time { return now })
	var got []time.Duration
	for _, at := range []time.Time{
		{}, time.Time{}.Add(time.Minute), time.Unix(0, 0), time.Unix(60, 0), time.Unix(-60, 0), {}, time.Time{}.Add(time.Hour),
	} {
		now = at
		got = append(got, since())
	}
	assert.Equal(t, []time.Duration{0, time.Minute, 0, time.Minute, -time.Minute, 0, time.Hour}, got)
}
