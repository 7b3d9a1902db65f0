// Package storetime exports how long the calls of a limiter's store took, as an OpenTelemetry
// histogram.
//
//	calls := storetime.Producer(limiter)
//	reader := metric.NewPeriodicReader(exporter, metric.WithProducer(calls))
//	provider := metric.NewMeterProvider(metric.WithReader(reader))
//
// The API of OpenTelemetry has no histogram that is read when metrics are collected. The SDK has:
// its readers take producers. So this package needs the SDK, and package otellimit does not. The
// limiter counts each call of its store anyway, so the histogram costs nothing per request.
package storetime

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/stats"
)

const (
	scope       = "github.com/ratelimit-go/ratelimit/metrics/otellimit/storetime"
	name        = "ratelimit.store.call.duration"
	description = "Time of calls of the store, failed ones included."
)

// Producer returns a producer of the histogram ratelimit.store.call.duration, in seconds, for
// [metric.WithProducer]. Its point has the given attributes, such as
// attribute.String("limiter", "api") beside otellimit.WithName("api"). It is cumulative, also for a
// reader that prefers deltas. A limiter that counts in memory only makes no calls, so its count is
// 0. The producer is safe for concurrent use.
func Producer(l *ratelimit.Limiter, attrs ...attribute.KeyValue) metric.Producer {
	return &producer{read: l.Stats, start: time.Now(), attrs: attribute.NewSet(attrs...)}
}

type producer struct {
	read  func() stats.Snapshot
	start time.Time
	attrs attribute.Set
}

// Produce implements [metric.Producer].
func (p *producer) Produce(context.Context) ([]metricdata.ScopeMetrics, error) {
	s := p.read()
	calls := &s.Store.Calls
	point := metricdata.HistogramDataPoint[float64]{
		Attributes: p.attrs, StartTime: p.start, Time: time.Now(), Sum: calls.Sum.Seconds(),
	}
	before := int64(0) // the counts of stats include the smaller buckets
	add := func(count int64) {
		count = max(count, before) // they are read one after another
		point.BucketCounts, before = append(point.BucketCounts, uint64(count-before)), count
	}
	for _, b := range calls.Buckets {
		point.Bounds = append(point.Bounds, b.Most.Seconds())
		add(b.Count)
	}
	add(calls.Count)
	point.Count = uint64(before)
	return []metricdata.ScopeMetrics{{
		Scope: instrumentation.Scope{Name: scope},
		Metrics: []metricdata.Metrics{{
			Name: name, Unit: "s", Description: description,
			Data: metricdata.Histogram[float64]{
				DataPoints:  []metricdata.HistogramDataPoint[float64]{point},
				Temporality: metricdata.CumulativeTemporality,
			},
		}},
	}}, nil
}
