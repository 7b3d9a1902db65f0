package otellimit_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/metrics/otellimit"
	"github.com/ratelimit-go/ratelimit/store"
)

// A service is a limiter behind a handler that starts a span for each request.
type service struct {
	*ratelimit.Limiter
	t        *testing.T
	recorder *tracetest.SpanRecorder
	provider *trace.TracerProvider
	handler  http.Handler
	stop     func()
}

func newService(t *testing.T, cfg ratelimit.Config) *service {
	t.Helper()
	cfg.Hooks.Error = func(context.Context, error) {}
	cfg.Hooks.StoreState = func(context.Context, store.State) {}
	l, err := ratelimit.New(cfg)
	require.NoError(t, err)
	recorder := tracetest.NewSpanRecorder()
	s := &service{
		Limiter: l, t: t, recorder: recorder, stop: l.Observe(otellimit.Hooks()),
		provider: trace.NewTracerProvider(trace.WithSpanProcessor(recorder)),
	}
	s.handler = l.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
	}))
	return s
}

type event struct {
	name  string
	attrs map[string]any
}

// span returns the attributes and events of the span in which f runs.
func (s *service) span(f func(ctx context.Context)) (map[string]any, []event) {
	s.t.Helper()
	s.recorder.Reset()
	ctx, span := s.provider.Tracer("test").Start(s.t.Context(), "request")
	f(ctx)
	span.End()
	ended := s.recorder.Ended()
	require.Len(s.t, ended, 1)
	var events []event
	for _, e := range ended[0].Events() {
		events = append(events, event{e.Name, values(e.Attributes)})
	}
	return values(ended[0].Attributes()), events
}

func values(attrs []attribute.KeyValue) map[string]any {
	m := map[string]any{}
	for _, a := range attrs {
		m[string(a.Key)] = a.Value.AsInterface()
	}
	return m
}

// get sends a request, and returns what its span has.
func (s *service) get() (map[string]any, []event) {
	s.t.Helper()
	return s.span(func(ctx context.Context) {
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
		s.handler.ServeHTTP(httptest.NewRecorder(), r)
	})
}

func perClient(limits string, change func(*ratelimit.Rule)) ratelimit.Config {
	r := ratelimit.Rule{Name: "per-client", Limits: ratelimit.MustParse(limits)}
	if change != nil {
		change(&r)
	}
	return ratelimit.Config{Rules: []ratelimit.Rule{r}}
}

func TestSpanHasTheDecision(t *testing.T) {
	s := newService(t, perClient("1 per hour", nil))
	attrs, events := s.get()
	assert.Equal(t, map[string]any{"ratelimit.policy": "per-client", "ratelimit.result": "acquired"}, attrs)
	assert.Empty(t, events)

	attrs, events = s.get()
	assert.Equal(t, map[string]any{"ratelimit.policy": "per-client", "ratelimit.result": "limit"}, attrs)
	require.Len(t, events, 1)
	assert.Equal(t, "ratelimit.denied", events[0].name)
	assert.InDelta(t, 3600, events[0].attrs["ratelimit.retry_after"], 5)
	delete(events[0].attrs, "ratelimit.retry_after")
	assert.Equal(t, map[string]any{
		"ratelimit.policy": "per-client", "ratelimit.result": "limit",
		"ratelimit.limit": "1 per hour", "ratelimit.remaining": int64(0),
	}, events[0].attrs)

	s.stop()
	attrs, events = s.get()
	assert.Empty(t, attrs)
	assert.Empty(t, events)
}

func TestSpanTellsOfADryRun(t *testing.T) {
	s := newService(t, perClient("1 per hour", func(r *ratelimit.Rule) { r.Mode = ratelimit.DryRun }))
	_, events := s.get()
	assert.Empty(t, events)
	_, events = s.get()
	require.Len(t, events, 1)
	assert.Equal(t, "ratelimit.dry_run_denied", events[0].name)
	assert.Equal(t, "per-client", events[0].attrs["ratelimit.policy"])
	assert.Equal(t, "limit", events[0].attrs["ratelimit.result"])
}

func TestSpanTellsOfABlock(t *testing.T) {
	s := newService(t, perClient("1 per hour", func(r *ratelimit.Rule) {
		r.Block = &ratelimit.Block{After: ratelimit.MustParse("1 per hour")[0]}
	}))
	s.get()
	_, events := s.get()
	blocked := event{
		"ratelimit.blocked",
		map[string]any{"ratelimit.policy": "per-client", "ratelimit.block.times": int64(1)},
	}
	assert.Contains(t, events, blocked)

	attrs, events := s.get()
	assert.Equal(t, "blocked", attrs["ratelimit.result"])
	require.Len(t, events, 1)
	assert.Equal(t, "ratelimit.denied", events[0].name)
	assert.NotContains(t, events[0].attrs, "ratelimit.limit")
}

func TestSpanTellsOfADeniedTake(t *testing.T) {
	cfg := ratelimit.Config{Budgets: []ratelimit.Budget{{Name: "sms", Limits: ratelimit.MustParse("1 per hour")}}}
	s := newService(t, cfg)
	var last ratelimit.Decision
	attrs, events := s.span(func(ctx context.Context) {
		for range 2 {
			var err error
			last, err = s.Take(ctx, "sms", ratelimit.UserKey("alice"), 1)
			require.NoError(t, err)
		}
	})
	require.False(t, last.Allowed)
	assert.Empty(t, attrs, "the attributes are for the decision on the request")
	require.Len(t, events, 1)
	assert.Equal(t, "ratelimit.denied", events[0].name)
	assert.Equal(t, "sms", events[0].attrs["ratelimit.policy"])
}

// broken is a store that always fails.
type broken struct{}

func (broken) Apply(context.Context, []store.Op) error { return errors.New("broken") }

func TestSpanTellsOfAFailureOfTheStore(t *testing.T) {
	for _, test := range []struct {
		policy       ratelimit.FailurePolicy
		result, rule any
	}{
		{ratelimit.FailOpen, "acquired", nil},
		{ratelimit.FailClosed, "store", nil},
		{ratelimit.UseMemory, "acquired", "per-client"},
	} {
		t.Run(string(test.policy), func(t *testing.T) {
			cfg := perClient("10 per hour", nil)
			cfg.Store, cfg.OnStoreFailure = broken{}, test.policy
			s := newService(t, cfg)
			for i, reason := range []string{"other", "other", "other", "other", "other", "down"} {
				attrs, events := s.get()
				assert.Equal(t, test.result, attrs["ratelimit.result"])
				assert.Equal(t, test.rule, attrs["ratelimit.policy"])
				require.NotEmpty(t, events, i)
				assert.Equal(t, "ratelimit.store_failed", events[0].name)
				assert.Equal(t, reason, events[0].attrs["ratelimit.store.reason"])
				assert.Equal(t, test.rule, events[0].attrs["ratelimit.policy"])
			}
		})
	}
}

func TestRequestWithoutASpanAllocatesNothingMore(t *testing.T) {
	measure := func(observe bool) float64 {
		s := newService(t, perClient("1 per hour", nil))
		s.stop()
		if observe {
			s.Observe(otellimit.Hooks())
		}
		s.get()
		ctx, key := t.Context(), ratelimit.UserKey("a")
		return testing.AllocsPerRun(100, func() { _, _ = s.Take(ctx, "per-client", key, 1) })
	}
	assert.Equal(t, measure(false), measure(true)) //nolint
}

func TestNoAttributeHasAKey(t *testing.T) {
	cfg := perClient("1 per hour", func(r *ratelimit.Rule) { r.Key = ratelimit.ByHeader("X-Key") })
	s := newService(t, cfg)
	for range 3 {
		attrs, events := s.span(func(ctx context.Context) {
			r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/secret", nil)
			r.Header.Set("X-Key", "secret")
			s.handler.ServeHTTP(httptest.NewRecorder(), r)
		})
		for _, e := range append(events, event{"", attrs}) {
			for name, value := range e.attrs {
				assert.NotContains(t, fmt.Sprint(value), "secret", name)
				assert.NotContains(t, fmt.Sprint(value), "header", name)
			}
		}
	}
}
