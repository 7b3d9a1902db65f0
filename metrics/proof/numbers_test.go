package proof

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/testsize"
	"github.com/ratelimit-go/ratelimit/redisstore"
)

func TestNumbersEqualWhatTheClientsSaw(t *testing.T) {
	d := readDashboard(t)
	perClient := testsize.Of(10_000, 3_000) // the race detector makes a request six times as slow
	t.Cleanup(func() {
		if !t.Failed() {
			d.allShown(t)
		}
	})
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		s := serve(t, policy(t))
		p := startPrometheus(t, map[string]string{"shop": s.addr + "/metrics", "otel": s.addr + "/otel"})
		p.await() // rates count from the first scrape on
		compare(t, p, load(t, s.addr, perClient), perClient)
		assert.Positive(t, p.value(`ratelimit_memory_keys{job="shop"}`))
		assert.Equal(t, 1_000_000, p.value(`ratelimit_memory_max_keys{job="shop"}`))
		inFlight(t, p, s, d)
		held(t, p, s, d)
		sameFromOpenTelemetry(t, p)
		pageIsValid(t, s)
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		addr, stop := startRedis(t)
		c := redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true, DialerRetries: 1})
		t.Cleanup(func() { _ = c.Close() })
		cfg := policy(t)
		var err error
		cfg.Store, err = redisstore.New(c, redisstore.Config{})
		require.NoError(t, err)
		cfg.OnStoreFailure = ratelimit.FailOpen
		cfg.StoreTimeout = 30 * time.Second // the machine is busy, and no call may be lost
		s := serve(t, cfg)
		p := startPrometheus(t, map[string]string{"shop": s.addr + "/metrics", "otel": s.addr + "/otel"})
		p.await()
		saw := load(t, s.addr, perClient)
		compare(t, p, saw, perClient)
		storeAnswers(t, p, saw)
		sameFromOpenTelemetry(t, p)
		stop()
		storeIsDown(t, p, s)
		sameFromOpenTelemetry(t, p)
		d.ask(t, p)
		d.variablesWork(t, p)
		alertsWork(t, p)
		pageIsValid(t, s)
	})
}

// compare compares what Prometheus says with what the clients saw.
func compare(t *testing.T, p *prometheus, saw *seen, perClient int) {
	t.Helper()
	p.await()
	responses := 0
	for path, by := range saw.status {
		t.Logf("%-20s %v", path, by)
		for _, n := range by {
			responses += n
		}
	}
	require.Equal(t, clients*perClient, responses)
	requests := func(matchers string) int {
		return p.value(`sum(ratelimit_requests_total{job="shop",%s})`, matchers)
	}
	assert.Equal(t, saw.total(http.StatusOK)+saw.total(http.StatusNotFound), requests(`rule="all",outcome="allowed"`))
	assert.Equal(t, saw.total(http.StatusTooManyRequests), requests(`reason=~"limit|blocked"`))
	assert.Equal(t, saw.total(http.StatusForbidden), requests(`reason=~"denied|no-key"`))
	assert.Equal(t, saw.total(http.StatusTooManyRequests)+saw.total(http.StatusForbidden), requests(`outcome="denied"`))

	for _, rule := range []string{"api", "login", "export"} {
		by := saw.status["/"+rule]
		assert.Equal(t, by[http.StatusOK], requests(fmt.Sprintf(`rule=%q,outcome="allowed"`, rule)), rule)
		assert.Equal(t, by[http.StatusTooManyRequests],
			requests(fmt.Sprintf(`rule=%q,outcome="denied",reason!="no-key"`, rule)), rule)
	}
	search, miss := saw.status["/search"], saw.status["/search?miss"]
	assert.Equal(t, search[http.StatusOK]+miss[http.StatusNotFound], requests(`rule="search",outcome="allowed"`))
	assert.Equal(t, search[http.StatusOK], p.value(`ratelimit_refunded_total{job="shop",rule="search"}`))

	const honest = clients - 1
	assert.Equal(t, perClient*95/100, requests(`rule="",reason="denied"`), "requests of a client on the deny list")
	assert.Equal(t, saw.status["/api without a key"][http.StatusForbidden], requests(`rule="api",reason="no-key"`))
	assert.Equal(t, honest, p.value(`ratelimit_blocks_total{job="shop",rule="login"}`))
	assert.Equal(t, honest*49, requests(`rule="login",reason="limit"`), "the fiftieth begins a block")
	assert.Equal(t, saw.near, p.value(`ratelimit_near_limit_total{job="shop",rule="api"}`))
	assert.Positive(t, saw.near)
	assert.Equal(t, saw.status["/export"][http.StatusOK]-honest*100,
		p.value(`ratelimit_dry_run_denied_total{job="shop",rule="export"}`))
}

// storeAnswers checks the numbers of a store that has not failed.
func storeAnswers(t *testing.T, p *prometheus, saw *seen) {
	t.Helper()
	decisions := func(decider string) int {
		return p.value(`ratelimit_store_decisions_total{job="shop",decider=%q}`, decider)
	}
	assert.Equal(t, 1, p.value(`ratelimit_store_state{job="shop",state="up"}`))
	assert.Zero(t, p.value(`sum(ratelimit_store_failures_total{job="shop"})`))
	assert.Zero(t, decisions("open")+decisions("closed")+decisions("memory"))
	assert.GreaterOrEqual(t, decisions("store"), saw.total(http.StatusOK))
	assert.Positive(t, decisions("cache"), "denials that were cached")
	calls := p.value(`ratelimit_store_call_duration_seconds_count{job="shop"}`)
	assert.Positive(t, calls)
	assert.Equal(t, calls, p.value(`ratelimit_store_call_duration_seconds_bucket{job="shop",le="+Inf"}`))
}

// storeIsDown checks the numbers while the store is dead.
func storeIsDown(t *testing.T, p *prometheus, s *service) {
	t.Helper()
	before := p.value(`sum(ratelimit_requests_total{job="shop",rule="api",outcome="allowed"})`)
	const n = 40
	for i := range n {
		status, err := s.get(t.Context(), "/api", fmt.Sprintf("new-%d", i))
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, status)
	}
	p.await()
	assert.Equal(t, 1, p.value(`ratelimit_store_state{job="shop",state="down"}`))
	assert.Equal(t, 0, p.value(`ratelimit_store_state{job="shop",state="up"}`))
	assert.Equal(t, 1, p.value(`ratelimit_store_state_changes_total{job="shop",state="down"}`))
	assert.Equal(t, n, p.value(`ratelimit_store_decisions_total{job="shop",decider="open"}`))
	assert.GreaterOrEqual(t, p.value(`ratelimit_store_failures_total{job="shop",reason="connect"}`), 5)
	after := p.value(`sum(ratelimit_requests_total{job="shop",rule="api",outcome="allowed"})`)
	t.Logf("allowed by rule api while the store is down: %d of %d", after-before, n)
}

// sameFromOpenTelemetry checks that the metrics of otellimit have the same series with the same
// values as the metrics of promlimit, where an exporter has translated them.
func sameFromOpenTelemetry(t *testing.T, p *prometheus) {
	t.Helper()
	p.await()
	const selector = `{__name__=~"ratelimit_.*",job=%q}`
	ours, theirs := p.query(fmt.Sprintf(selector, "shop")), p.query(fmt.Sprintf(selector, "otel"))
	assert.Greater(t, len(ours), 100)
	const calls = "ratelimit_store_call_duration_seconds"
	for name, value := range ours {
		switch { // the parts of the histogram that Register exports too
		case strings.HasPrefix(name, calls+"_count"):
			ours["ratelimit_store_calls_total{limiter=shop}"] = value
		case strings.HasPrefix(name, calls+"_sum"):
			ours["ratelimit_store_call_time_seconds_total{limiter=shop}"] = value
		}
	}
	assert.Equal(t, ours, theirs)
}

// pageIsValid has promtool read the page that Prometheus scrapes.
func pageIsValid(t *testing.T, s *service) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.addr+"/metrics", nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Contains(t, string(page), "ratelimit_requests_total{")
	assert.Empty(t, promtool(t, strings.NewReader(string(page)), "check", "metrics"))
	for _, text := range []string{listed, "client-1", "127.0.0.1", "value:"} {
		assert.NotContains(t, string(page), text, "a key")
	}
}
