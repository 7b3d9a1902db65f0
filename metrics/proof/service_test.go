package proof

import (
	"context"
	"net"
	"net/http"
	"testing"
	"time"

	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/metrics/otellimit"
	"github.com/ratelimit-go/ratelimit/metrics/otellimit/storetime"
	"github.com/ratelimit-go/ratelimit/metrics/promlimit"
	"github.com/ratelimit-go/ratelimit/store"
)

const (
	clients  = 10
	apiBurst = 1_000
	listed   = "client-0" // is on the deny list
)

// A service has the metrics of one limiter on two pages.
type service struct {
	addr    string
	release chan struct{} // handlers of /slow wait for it
	entered chan struct{} // and tell that they wait
}

// policy returns the limits of the service, one rule per route and one for all of them.
func policy(t *testing.T) ratelimit.Config {
	t.Helper()
	key := ratelimit.ByValue("client", func(r *http.Request) string { return r.Header.Get("X-Client") })
	rule := func(name, limits string, change func(*ratelimit.Rule)) []ratelimit.Rule {
		r := ratelimit.Rule{
			Name: name, Limits: ratelimit.MustParse(limits), Key: key, OnMissingKey: ratelimit.DenyRequest,
		}
		if change != nil {
			change(&r)
		}
		return []ratelimit.Rule{r}
	}
	deny := &ratelimit.List{Key: key}
	require.NoError(t, deny.Replace(nil, ratelimit.ValueKey("client", listed)))
	return ratelimit.Config{
		Deny: deny,
		Rules: rule("all", "1000000 per day", func(r *ratelimit.Rule) {
			r.OnMissingKey = ratelimit.SkipRule
			r.Skip = func(r *http.Request) bool { return r.URL.Path == "/slow" }
		}),
		Routes: map[string][]ratelimit.Rule{
			"/api": rule("api", "1000 per day", nil),
			"/login": rule("login", "100 per day", func(r *ratelimit.Rule) {
				r.Block = &ratelimit.Block{After: ratelimit.MustParse("50 per day")[0], For: time.Hour}
			}),
			"/export": rule("export", "100 per day", func(r *ratelimit.Rule) { r.Mode = ratelimit.DryRun }),
			"/search": rule("search", "1000000 per day", func(r *ratelimit.Rule) {
				r.CountOnly = ratelimit.StatusIn(http.StatusNotFound)
			}),
			"/held":    rule("held", "20 per minute burst 1", func(r *ratelimit.Rule) { r.MaxWait = time.Minute }),
			"/waiting": rule("waiting", "1 per 30 minutes", func(r *ratelimit.Rule) { r.MaxWait = time.Hour }),
			"/slow":    rule("slow", "1000 per day", func(r *ratelimit.Rule) { r.InFlight = 3 }),
		},
		Hooks: ratelimit.Hooks{
			Error:      func(context.Context, error) {},
			StoreState: func(context.Context, store.State) {},
		},
	}
}

// serve serves a service on a free port.
func serve(t *testing.T, cfg ratelimit.Config) *service {
	t.Helper()
	limiter, err := ratelimit.New(cfg)
	require.NoError(t, err)
	s := &service{release: make(chan struct{}), entered: make(chan struct{}, clients)}
	mux := http.NewServeMux()
	mux.Handle("/", limiter.Handler(s.handler()))

	scraped := client.NewPedanticRegistry()
	scraped.MustRegister(promlimit.Collector(limiter, promlimit.WithName("shop")))
	mux.Handle("/metrics", promhttp.HandlerFor(scraped, promhttp.HandlerOpts{}))

	translated := client.NewRegistry()
	reader, err := exporter.New(
		exporter.WithRegisterer(translated), exporter.WithoutScopeInfo(), exporter.WithoutTargetInfo(),
		exporter.WithProducer(storetime.Producer(limiter, attribute.String("limiter", "shop"))))
	require.NoError(t, err)
	meter := metric.NewMeterProvider(metric.WithReader(reader)).Meter("shop")
	_, err = otellimit.Register(meter, limiter, otellimit.WithName("shop"))
	require.NoError(t, err)
	mux.Handle("/otel", promhttp.HandlerFor(translated, promhttp.HandlerOpts{}))

	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	s.addr = l.Addr().String()
	return s
}

func (s *service) handler() http.Handler {
	ok := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }
	mux := http.NewServeMux()
	mux.HandleFunc("/", ok)
	mux.HandleFunc("/search", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery == "miss" {
			http.NotFound(w, r)
			return
		}
		ok(w, r)
	})
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		s.entered <- struct{}{}
		<-s.release
		ok(w, r)
	})
	return mux
}
