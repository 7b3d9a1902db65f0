package otellimit

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

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
			{Name: "new", Mode: "dry-run"},
		},
		Denied: map[string]int64{"denied": 111},
		Store: stats.Store{
			State: store.Down, Answered: 112, CachedDenials: 113, FailedOpen: 114, FailedClosed: 115,
			FailedToMemory: 116,
			Failures:       map[store.Reason]int64{store.ReasonTimeout: 117, store.ReasonDown: 118},
			Changes:        map[store.State]int64{store.Down: 119, store.Recovering: 120},
			Calls:          stats.Durations{Count: 9, Sum: 1500 * time.Millisecond},
		},
		Memory: stats.Memory{Keys: 121, MaxKeys: 122, Overflowed: 123},
	}
}

// newMeter returns a meter and a function that collects what it has.
func newMeter(t *testing.T) (metric.Meter, func() []metricdata.Metrics) {
	t.Helper()
	reader := sdk.NewManualReader()
	meter := sdk.NewMeterProvider(sdk.WithReader(reader)).Meter("test")
	return meter, func() []metricdata.Metrics {
		var all metricdata.ResourceMetrics
		require.NoError(t, reader.Collect(t.Context(), &all))
		if len(all.ScopeMetrics) == 0 {
			return nil
		}
		require.Len(t, all.ScopeMetrics, 1)
		return all.ScopeMetrics[0].Metrics
	}
}

// lines returns the points of metrics as text, sorted.
func lines(t *testing.T, metrics []metricdata.Metrics) []string {
	t.Helper()
	var out []string
	line := func(name string, attrs attribute.Set, value any) {
		out = append(out, fmt.Sprintf("%s{%s} %v", name, attrs.Encoded(attribute.DefaultEncoder()), value))
	}
	for _, m := range metrics {
		switch data := m.Data.(type) {
		case metricdata.Sum[int64]:
			assert.Equal(t, metricdata.CumulativeTemporality, data.Temporality)
			for _, p := range data.DataPoints {
				line(m.Name, p.Attributes, p.Value)
			}
		case metricdata.Sum[float64]:
			for _, p := range data.DataPoints {
				line(m.Name, p.Attributes, p.Value)
			}
		default:
			require.Failf(t, "not expected", "%s is a %T", m.Name, m.Data)
		}
	}
	slices.Sort(out)
	return out
}

func reading(s *stats.Snapshot) func() stats.Snapshot {
	return func() stats.Snapshot { return *s }
}

func TestEachNumberHasItsPoint(t *testing.T) {
	meter, collect := newMeter(t)
	s := full()
	unregister, err := register(meter, reading(&s), nil)
	require.NoError(t, err)
	want, err := os.ReadFile("testdata/full.txt")
	require.NoError(t, err)
	assert.Equal(t, strings.Split(strings.TrimSpace(string(want)), "\n"), lines(t, collect()))

	s.Rules[0].Allowed = 201
	assert.Contains(t, lines(t, collect()), "ratelimit.requests{outcome=allowed,rule=api} 201")

	require.NoError(t, unregister())
	assert.Empty(t, lines(t, collect()))
}

func TestPointsOfMemoryNeedAMemoryStore(t *testing.T) {
	meter, collect := newMeter(t)
	s := full()
	s.Memory = stats.Memory{}
	_, err := register(meter, reading(&s), nil)
	require.NoError(t, err)
	assert.NotContains(t, strings.Join(lines(t, collect()), "\n"), "ratelimit.memory")
}

func TestSeveralLimiters(t *testing.T) {
	meter, collect := newMeter(t)
	for i, name := range []string{"api", "admin"} {
		l, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{{
			Name: "r", Limits: ratelimit.MustParse(fmt.Sprintf("%d per minute", i+1)),
		}}})
		require.NoError(t, err)
		_, err = Register(meter, l, WithName(name))
		require.NoError(t, err)
	}
	all := lines(t, collect())
	assert.Contains(t, all, "ratelimit.rule.info{limit=1 per minute,limiter=api,mode=enforce,rule=r} 1")
	assert.Contains(t, all, "ratelimit.rule.info{limit=2 per minute,limiter=admin,mode=enforce,rule=r} 1")
	for _, line := range all {
		assert.Contains(t, line, "limiter=a")
	}
}

func TestMistakesAreReportedAndNothingIsRegistered(t *testing.T) {
	for _, name := range []string{"", "\xff"} {
		meter, collect := newMeter(t)
		s := full()
		_, err := register(meter, reading(&s), []Option{WithName(name)})
		require.ErrorContains(t, err, fmt.Sprintf("WithName(%q)", name))
		assert.Empty(t, collect())
	}
}

// failing is a Meter that rejects some instruments.
type failing struct{ noop.Meter }

func (failing) Int64ObservableCounter(
	name string, _ ...metric.Int64ObservableCounterOption,
) (metric.Int64ObservableCounter, error) {
	return nil, fmt.Errorf("no %s", name)
}

func TestEachErrorOfTheMeterIsReported(t *testing.T) {
	s := full()
	_, err := register(failing{}, reading(&s), nil)
	require.ErrorContains(t, err, "no ratelimit.requests")
	require.ErrorContains(t, err, "no ratelimit.memory.overflowed")
}
