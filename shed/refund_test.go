package shed_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/shed"
)

// A request that the shedder denies is refunded what a limiter around the shedder has charged.
func TestLimiterAroundAShedderIsRefunded(t *testing.T) {
	l, err := ratelimit.New(ratelimit.Config{
		Rules: []ratelimit.Rule{{Name: "per-client", Limits: ratelimit.MustParse("1 per hour")}},
	})
	require.NoError(t, err)
	_, full := fullShedder(t, shed.Config{}, ok)
	h := l.Handler(full)
	for range 3 {
		assert.Equal(t, http.StatusServiceUnavailable, serve(h, request()).Code)
	}
	idle := l.Handler(newShedder(t, shed.Config{MaxInFlight: 1}).Handler(ok))
	assert.Equal(t, http.StatusOK, serve(idle, request()).Code)
	assert.Equal(t, http.StatusTooManyRequests, serve(idle, request()).Code, "a request that the shedder allows is charged")
}
