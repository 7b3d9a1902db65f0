package respond

import (
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestRetryAfter(t *testing.T) {
	for _, tc := range []struct {
		name  string
		there []string // Retry-After of an outer handler
		wait  time.Duration
		want  int64
	}{
		{name: "waiting does not help", wait: 0, want: 0},
		{name: "no negative wait", wait: -time.Second, want: 0},
		{name: "at least a second", wait: 1, want: 1},
		{name: "a second", wait: time.Second, want: 1},
		{name: "rounded up", wait: time.Second + 1, want: 2},
		{name: "a longer wait stays", there: []string{"100"}, wait: 36 * time.Second, want: 0},
		{name: "a shorter wait goes", there: []string{"10"}, wait: 36 * time.Second, want: 36},
		{name: "an equal wait stays", there: []string{"36"}, wait: 36 * time.Second, want: 0},
		{name: "a wait that is no number goes", there: []string{"soon"}, wait: 36 * time.Second, want: 36},
		{name: "a field without a value", there: []string{}, wait: 36 * time.Second, want: 36},
		{name: "the first of two values counts", there: []string{"10", "100"}, wait: 36 * time.Second, want: 36},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := http.Header{}
			if tc.there != nil {
				h["Retry-After"] = tc.there
			}
			assert.Equal(t, tc.want, RetryAfter(h, tc.wait))
			assert.Equal(t, tc.there, h["Retry-After"], "RetryAfter writes nothing")
		})
	}
}

func TestSeconds(t *testing.T) {
	for d, want := range map[time.Duration]int64{
		0:                             0,
		1:                             1,
		time.Second:                   1,
		time.Second + 1:               2,
		time.Second + 500_000:         2,
		2*time.Second - 1:             2,
		time.Hour:                     3600,
		-1:                            0,
		-time.Second - 1:              -1,
		time.Duration(math.MaxInt64):  9_223_372_037,
		-time.Duration(math.MaxInt64): -9_223_372_036,
	} {
		assert.Equal(t, want, Seconds(d), "%v", d)
	}
}
