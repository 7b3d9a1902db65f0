package promlimit

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/stats"
	"github.com/ratelimit-go/ratelimit/store"
)

// full has a different number in every field.
func full() stats.Snapshot {
	return stats.Snapshot{
		Rules: []stats.Rule{
			{
				Name: "api", Limits: "100 per minute; 1000 per day", Mode: "enforce", Allowed: 101, NearLimit: 102,
				Denied: map[string]int64{"limit": 103, "blocked": 104}, DryRun: 105, Blocks: 106, Held: 107,
				Refunded: 108, InFlight: 109, Waiting: 110,
			},
			{Name: `quo"te`, Mode: "dry-run"},
		},
		Denied: map[string]int64{"denied": 111},
		Store: stats.Store{
			State: store.Down, Answered: 112, CachedDenials: 113, FailedOpen: 114, FailedClosed: 115,
			FailedToMemory: 116,
			Failures:       map[store.Reason]int64{store.ReasonTimeout: 117, store.ReasonDown: 118},
			Changes:        map[store.State]int64{store.Down: 119, store.Recovering: 120},
			Calls: stats.Durations{Count: 9, Sum: 1500 * time.Millisecond, Buckets: []stats.Bucket{
				{Most: time.Millisecond, Count: 4}, {Most: 250 * time.Millisecond, Count: 8},
			}},
		},
		Memory: stats.Memory{Keys: 121, MaxKeys: 122, Overflowed: 123},
	}
}

func of(s stats.Snapshot, options ...Option) *collector {
	return newCollector(func() stats.Snapshot { return s }, options)
}

func TestEachNumberHasItsSeries(t *testing.T) {
	want, err := os.Open("testdata/full.txt")
	require.NoError(t, err)
	defer want.Close()
	require.NoError(t, testutil.CollectAndCompare(of(full()), want))
}

func TestPromlintFindsNothing(t *testing.T) {
	for name, s := range map[string]stats.Snapshot{"full": full(), "zero": {}} {
		r := prometheus.NewPedanticRegistry()
		require.NoError(t, r.Register(of(s)))
		problems, err := testutil.GatherAndLint(r)
		require.NoError(t, err, name)
		assert.Empty(t, problems, name)
	}
}

func TestNumberOfSeriesIsAsDocumented(t *testing.T) {
	s := full()
	buckets := len(s.Store.Calls.Buckets)
	before := testutil.CollectAndCount(of(s)) + buckets
	assert.LessOrEqual(t, before-2*16, 60-20, "the histogram has up to 20 series")
	s.Rules = append(s.Rules, stats.Rule{Name: "more"})
	assert.Equal(t, before+16, testutil.CollectAndCount(of(s))+buckets)
}

func TestSeriesAreThereBeforeTheFirstEvent(t *testing.T) {
	zero := stats.Snapshot{Rules: []stats.Rule{{Name: "api"}}}
	assert.Equal(t, 7+1+2, testutil.CollectAndCount(of(zero), "ratelimit_requests_total"))
	assert.Equal(t, len(store.Reasons()), testutil.CollectAndCount(of(zero), "ratelimit_store_failures_total"))
	assert.Equal(t, 5, testutil.CollectAndCount(of(zero), "ratelimit_store_decisions_total"))
	assert.Equal(t, 3, testutil.CollectAndCount(of(zero), "ratelimit_store_state"))
}

func TestMetricsOfMemoryNeedAMemoryStore(t *testing.T) {
	s := full()
	s.Memory = stats.Memory{}
	for _, name := range []string{"keys", "max_keys", "overflowed_total"} {
		assert.Zero(t, testutil.CollectAndCount(of(s), "ratelimit_memory_"+name), name)
	}
}

func TestHistogramIsValidWhileCallsEnd(t *testing.T) {
	s := full()
	s.Store.Calls.Count = 7 // read before the last bucket
	require.NoError(t, testutil.CollectAndCompare(of(s), strings.NewReader(`
# HELP ratelimit_store_call_duration_seconds Time of calls of the store, failed ones included.
# TYPE ratelimit_store_call_duration_seconds histogram
ratelimit_store_call_duration_seconds_bucket{le="0.001"} 4
ratelimit_store_call_duration_seconds_bucket{le="0.25"} 8
ratelimit_store_call_duration_seconds_bucket{le="+Inf"} 8
ratelimit_store_call_duration_seconds_sum 1.5
ratelimit_store_call_duration_seconds_count 8
`), "ratelimit_store_call_duration_seconds"))
}

func TestSeveralLimiters(t *testing.T) {
	newLimiter := func() *ratelimit.Limiter {
		l, err := ratelimit.New(ratelimit.Config{
			Rules: []ratelimit.Rule{{Name: "per-client", Limits: ratelimit.MustParse("5 per minute")}},
		})
		require.NoError(t, err)
		return l
	}
	r := prometheus.NewPedanticRegistry()
	require.NoError(t, r.Register(Collector(newLimiter(), WithName("api"))))
	require.NoError(t, r.Register(Collector(newLimiter(), WithName("admin"))))
	require.Error(t, r.Register(Collector(newLimiter(), WithName("api"))), "the name is taken")
	require.Error(t, r.Register(Collector(newLimiter())), "no name beside names")
	require.Error(t, r.Register(Collector(newLimiter(), WithName("\xff"))), "not UTF-8")
	require.NoError(t, testutil.GatherAndCompare(r, strings.NewReader(`
# HELP ratelimit_rule_info The limits and the mode of each rule. The value is 1.
# TYPE ratelimit_rule_info gauge
ratelimit_rule_info{limit="5 per minute",limiter="admin",mode="enforce",rule="per-client"} 1
ratelimit_rule_info{limit="5 per minute",limiter="api",mode="enforce",rule="per-client"} 1
`), "ratelimit_rule_info"))
}

func TestTextThatIsNotUTF8IsAnErrorOfTheScrape(t *testing.T) {
	r := prometheus.NewRegistry()
	require.NoError(t, r.Register(of(stats.Snapshot{Rules: []stats.Rule{{Name: "\xff"}}})))
	_, err := r.Gather()
	require.ErrorContains(t, err, "ratelimit_requests_total")
}
