package promlimit

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/stats"
)

// An Option changes what [Collector] returns.
type Option func(prometheus.Labels)

// WithName adds the constant label limiter to every metric, such as limiter="api". If a process has
// several limiters, give each a name of its own. The registry rejects a name that is used twice, a
// limiter without a name beside a limiter that has one, and text that is not UTF-8.
func WithName(name string) Option {
	return func(l prometheus.Labels) { l["limiter"] = name }
}

// Collector returns a collector of the counters of l, for [prometheus.Registerer.MustRegister]. It
// reads them once for each scrape, and keeps none itself. It is safe for concurrent use.
func Collector(l *ratelimit.Limiter, options ...Option) prometheus.Collector {
	return newCollector(l.Stats, options)
}

type collector struct {
	read     func() stats.Snapshot
	families []family
	descs    []*prometheus.Desc // of families
	calls    *prometheus.Desc   // the histogram
}

func newCollector(read func() stats.Snapshot, options []Option) *collector {
	labels := prometheus.Labels{}
	for _, option := range options {
		option(labels)
	}
	c := &collector{
		read: read, families: families(),
		calls: prometheus.NewDesc(callsName, callsHelp, nil, labels),
	}
	for _, f := range c.families {
		c.descs = append(c.descs, prometheus.NewDesc(f.name, f.help, f.labels, labels))
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, desc := range c.descs {
		out <- desc
	}
	out <- c.calls
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	snapshot := c.read()
	for i, f := range c.families {
		desc := c.descs[i]
		f.samples(&snapshot, func(value int64, labels ...string) {
			m, err := prometheus.NewConstMetric(desc, f.kind, float64(value), labels...)
			out <- valid(desc, m, err)
		})
	}
	m, err := histogram(c.calls, &snapshot.Store.Calls)
	out <- valid(c.calls, m, err)
}

// valid returns m, or a metric that makes the scrape report err.
func valid(desc *prometheus.Desc, m prometheus.Metric, err error) prometheus.Metric {
	if err != nil {
		return prometheus.NewInvalidMetric(desc, err)
	}
	return m
}

// histogram returns d as a metric. The limiter reads its counters one after another, so a call that
// ends meanwhile can be in a bucket and not in Count. Prometheus wants no bucket above the count.
func histogram(desc *prometheus.Desc, d *stats.Durations) (prometheus.Metric, error) {
	count := d.Count
	buckets := make(map[float64]uint64, len(d.Buckets))
	for _, b := range d.Buckets {
		count = max(count, b.Count)
		buckets[b.Most.Seconds()] = uint64(b.Count)
	}
	sum := float64(d.Sum) / float64(time.Second)
	return prometheus.NewConstHistogram(desc, uint64(count), sum, buckets)
}
