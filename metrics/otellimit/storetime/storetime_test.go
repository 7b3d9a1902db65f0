package storetime

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/stats"
)

// collect returns the only metric of a reader with the producer p.
func collect(t *testing.T, p metric.Producer) metricdata.Metrics {
	t.Helper()
	reader := metric.NewManualReader(metric.WithProducer(p))
	_ = metric.NewMeterProvider(metric.WithReader(reader)) // a reader needs one
	var all metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &all))
	require.Len(t, all.ScopeMetrics, 1)
	assert.Equal(t, scope, all.ScopeMetrics[0].Scope.Name)
	require.Len(t, all.ScopeMetrics[0].Metrics, 1)
	return all.ScopeMetrics[0].Metrics[0]
}

func of(calls stats.Durations) *producer {
	return &producer{
		read:  func() stats.Snapshot { return stats.Snapshot{Store: stats.Store{Calls: calls}} },
		start: time.Unix(1, 0), attrs: attribute.NewSet(attribute.String("limiter", "api")),
	}
}

func TestBucketsOfTheLimiterAreBucketsOfTheHistogram(t *testing.T) {
	m := collect(t, of(stats.Durations{
		Count: 9, Sum: 1500 * time.Millisecond,
		Buckets: []stats.Bucket{{Most: time.Millisecond, Count: 2}, {Most: 250 * time.Millisecond, Count: 7}},
	}))
	assert.Equal(t, []string{"ratelimit.store.call.duration", "s"}, []string{m.Name, m.Unit})
	data, ok := m.Data.(metricdata.Histogram[float64])
	require.True(t, ok, "%T", m.Data)
	assert.Equal(t, metricdata.CumulativeTemporality, data.Temporality)
	require.Len(t, data.DataPoints, 1)
	p := data.DataPoints[0]
	assert.WithinDuration(t, time.Now(), p.Time, time.Minute)
	p.Time = time.Time{}
	assert.Equal(t, metricdata.HistogramDataPoint[float64]{
		Attributes: attribute.NewSet(attribute.String("limiter", "api")), StartTime: time.Unix(1, 0),
		Count: 9, Sum: 1.5, Bounds: []float64{0.001, 0.25}, BucketCounts: []uint64{2, 5, 2},
	}, p)
}

// A call that ends while the counters are read can be in a bucket and not in the count.
func TestCountsNeverFall(t *testing.T) {
	m := collect(t, of(stats.Durations{Count: 6, Buckets: []stats.Bucket{{Most: 1, Count: 7}, {Most: 2, Count: 5}}}))
	p := m.Data.(metricdata.Histogram[float64]).DataPoints[0]
	assert.Equal(t, []uint64{7, 0, 0}, p.BucketCounts)
	assert.EqualValues(t, 7, p.Count)
}

func TestLimiterInMemoryMakesNoCalls(t *testing.T) {
	l, err := ratelimit.New(ratelimit.Config{})
	require.NoError(t, err)
	p := collect(t, Producer(l)).Data.(metricdata.Histogram[float64]).DataPoints[0]
	assert.Zero(t, p.Count)
	assert.Equal(t, []uint64{0}, p.BucketCounts)
	assert.Zero(t, p.Attributes.Len())
}

func TestReadmeHasTheHistogram(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	m := collect(t, of(stats.Durations{}))
	assert.Contains(t, strings.Split(string(text), "\n"),
		fmt.Sprintf("| `%s` | Histogram | `%s` | | %s |", m.Name, m.Unit, m.Description))
}
