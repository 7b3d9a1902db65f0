package proof

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// get sends one request of a client, and returns its status.
func (s *service) get(ctx context.Context, path, client string) (int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.addr+path, nil)
	if err != nil {
		return 0, err
	}
	r.Header.Set("X-Client", client)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

// inFlight has requests in flight while Prometheus scrapes, and one request over the limit.
func inFlight(t *testing.T, p *prometheus, s *service, d *grafana) {
	t.Helper()
	statuses := make(chan int, 3)
	for range 3 {
		go func() {
			status, _ := s.get(t.Context(), "/slow", "slow")
			statuses <- status
		}()
		<-s.entered
	}
	status, err := s.get(t.Context(), "/slow", "slow")
	require.NoError(t, err)
	assert.Equal(t, http.StatusTooManyRequests, status)
	p.await()
	assert.Equal(t, 3, p.value(`ratelimit_inflight{job="shop",rule="slow"}`))
	assert.Equal(t, 1, p.value(`ratelimit_requests_total{job="shop",rule="slow",reason="in-flight"}`))
	sameFromOpenTelemetry(t, p)
	d.ask(t, p)
	close(s.release)
	for range 3 {
		assert.Equal(t, http.StatusOK, <-statuses)
	}
	p.await()
	assert.Equal(t, 0, p.value(`ratelimit_inflight{job="shop",rule="slow"}`))
}

// held has a request that waits while Prometheus scrapes, and a request that waits for up to three
// seconds.
func held(t *testing.T, p *prometheus, s *service, d *grafana) {
	t.Helper()
	get := func(ctx context.Context, path string) {
		status, err := s.get(ctx, path, "held")
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, status)
	}
	get(t.Context(), "/waiting")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := s.get(ctx, "/waiting", "held") // for half an hour
		done <- err
	}()
	get(t.Context(), "/held")
	get(t.Context(), "/held") // three seconds later
	waiting := func() int { return p.value(`ratelimit_waiting{job="shop",rule="waiting"}`) }
	until(t, func() bool { return waiting() == 1 })
	p.await()
	assert.Equal(t, 1, waiting())
	assert.Equal(t, 0, p.value(`ratelimit_waiting{job="shop",rule="held"}`))
	assert.Equal(t, 1, p.value(`ratelimit_held_total{job="shop",rule="held"}`))
	sameFromOpenTelemetry(t, p)
	d.ask(t, p)
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	until(t, func() bool { return waiting() == 0 })
}
