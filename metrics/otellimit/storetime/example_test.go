package storetime_test

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/metrics/otellimit/storetime"
	"github.com/ratelimit-go/ratelimit/store"
)

// remote stands for a store on another machine.
type remote struct{ store.Store }

func (r remote) Apply(ctx context.Context, ops []store.Op) error {
	time.Sleep(2 * time.Millisecond)
	return r.Store.Apply(ctx, ops)
}

func ExampleProducer() {
	limiter, err := ratelimit.New(ratelimit.Config{
		Rules:          []ratelimit.Rule{{Name: "api", Limits: ratelimit.MustParse("100 per minute")}},
		Store:          remote{ratelimit.NewMemoryStore(ratelimit.MemoryConfig{})},
		OnStoreFailure: ratelimit.FailOpen,
		StoreTimeout:   10 * time.Second,
	})
	if err != nil {
		panic(err)
	}
	calls := storetime.Producer(limiter)
	reader := metric.NewManualReader(metric.WithProducer(calls)) // a program has a reader that exports
	_ = metric.NewMeterProvider(metric.WithReader(reader))

	for range 3 {
		if _, err := limiter.Take(context.Background(), "api", ratelimit.UserKey("alice"), 1); err != nil {
			panic(err)
		}
	}
	var all metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &all); err != nil {
		panic(err)
	}
	m := all.ScopeMetrics[0].Metrics[0]
	point := m.Data.(metricdata.Histogram[float64]).DataPoints[0]
	fmt.Println(m.Name, point.Count, "calls,", point.BucketCounts[0], "of them in at most 0.1 ms")
	// Output: ratelimit.store.call.duration 3 calls, 0 of them in at most 0.1 ms
}
