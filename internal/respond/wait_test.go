package respond

import (
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2000, 1, 1, 0, 0, 0, 500_000_000, time.UTC)
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
		{name: "a number that is too large stays", there: []string{"99999999999999999999"}, wait: 36 * time.Second, want: 0},
		{name: "a field without a value", there: []string{}, wait: 36 * time.Second, want: 36},
		{name: "a later date stays", there: []string{"Sat, 01 Jan 2000 00:01:40 GMT"}, wait: 36 * time.Second, want: 0},
		{name: "an equal date stays", there: []string{"Sat, 01 Jan 2000 00:00:37 GMT"}, wait: 36 * time.Second, want: 0},
		{name: "a sooner date goes", there: []string{"Sat, 01 Jan 2000 00:00:36 GMT"}, wait: 37 * time.Second, want: 37},
		{name: "a date that is over goes", there: []string{"Fri, 31 Dec 1999 23:59:59 GMT"}, wait: time.Second, want: 1},
		{name: "a date in an older form", there: []string{"Saturday, 01-Jan-00 00:01:40 GMT"}, wait: 36 * time.Second, want: 0},
		{name: "of two values the longer", there: []string{"10", "100"}, wait: 36 * time.Second, want: 100},
		{name: "longer than two values", there: []string{"10", "20"}, wait: 36 * time.Second, want: 36},
		{name: "of a number and a date", there: []string{"10", "Sat, 01 Jan 2000 00:01:40 GMT"}, wait: 36 * time.Second, want: 100},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := http.Header{}
			if tc.there != nil {
				h["Retry-After"] = tc.there
			}
			assert.Equal(t, tc.want, RetryAfter(h, tc.wait, func() time.Time { return now }))
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
