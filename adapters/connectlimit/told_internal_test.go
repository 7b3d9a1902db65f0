package connectlimit

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// What the details of an error tell is what the field tells, also a longer wait of an outer
// handler, in seconds or as a date.
func TestToldIsTheField(t *testing.T) {
	const wait = 1500 * time.Millisecond
	for field, want := range map[string]time.Duration{
		"": wait, "2": wait, "1": wait, "soon": wait, "60": time.Minute,
		time.Now().Add(-time.Minute).UTC().Format(http.TimeFormat): wait,
	} {
		assert.Equal(t, want, told(http.Header{"Retry-After": {field}}, wait), field)
	}
	date := time.Now().Add(time.Minute).UTC().Format(http.TimeFormat)
	assert.InDelta(t, time.Minute, told(http.Header{"Retry-After": {date}}, wait), float64(2*time.Second))
	assert.Zero(t, told(http.Header{"Retry-After": {date}}, 0), "waiting does not help")
}
