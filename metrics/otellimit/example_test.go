package otellimit_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/metrics/otellimit"
)

func Example() {
	reader := metric.NewManualReader() // a program has a reader that exports
	provider := metric.NewMeterProvider(metric.WithReader(reader))

	limiter, err := ratelimit.New(ratelimit.Config{
		Rules: []ratelimit.Rule{{Name: "per-client", Limits: ratelimit.MustParse("2 per minute")}},
	})
	if err != nil {
		panic(err)
	}
	unregister, err := otellimit.Register(provider.Meter("shop"), limiter, otellimit.WithName("api"))
	if err != nil {
		panic(err)
	}
	defer unregister()
	defer limiter.Observe(otellimit.Hooks())()

	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") })
	api := limiter.Handler(hello)
	for range 3 {
		api.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	}

	var all metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &all); err != nil {
		panic(err)
	}
	for _, m := range all.ScopeMetrics[0].Metrics {
		if m.Name != "ratelimit.requests" {
			continue
		}
		for _, p := range m.Data.(metricdata.Sum[int64]).DataPoints {
			if p.Value > 0 {
				outcome, _ := p.Attributes.Value("outcome")
				fmt.Println(m.Name, outcome.AsString(), p.Value)
			}
		}
	}
	// Unordered output:
	// ratelimit.requests allowed 2
	// ratelimit.requests denied 1
}
