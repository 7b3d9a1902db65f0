package otellimit

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/stats"
)

// An Option changes what [Register] registers.
type Option func(*options)

type options struct {
	common []attribute.KeyValue
	err    error
}

// WithName adds the attribute limiter to every metric, such as "api". If a process has several
// limiters, give each a name of its own: limiters of one name on one Meter add up. A name that is
// empty or not UTF-8 is an error of [Register].
func WithName(name string) Option {
	return func(o *options) {
		if name == "" || !utf8.ValidString(name) {
			o.err = fmt.Errorf("otellimit: WithName(%q): want UTF-8, and not empty", name)
			return
		}
		o.common = append(o.common, attribute.String("limiter", name))
	}
}

// Register registers observable instruments for the counters of l with meter. A callback reads them
// once for each collection. Call unregister to end that. The error joins every mistake in options
// and every error of meter. Then nothing is registered.
func Register(
	meter metric.Meter, l *ratelimit.Limiter, opts ...Option,
) (unregister func() error, err error) {
	return register(meter, l.Stats, opts)
}

func register(meter metric.Meter, read func() stats.Snapshot, opts []Option) (func() error, error) {
	var o options
	for _, option := range opts {
		option(&o)
	}
	errs := []error{o.err}
	all := instruments()
	observables := make([]metric.Observable, len(all))
	integers := make([]metric.Int64Observable, len(all))
	for i, in := range all {
		integer, err := in.make(meter)
		errs = append(errs, err)
		integers[i], observables[i] = integer, integer
	}
	seconds, err := meter.Float64ObservableCounter(callTime,
		metric.WithDescription(callTimeDescription), metric.WithUnit("s"))
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	registration, err := meter.RegisterCallback(func(_ context.Context, out metric.Observer) error {
		snapshot := read()
		for i, in := range all {
			in.samples(&snapshot, func(value int64, attrs ...attribute.KeyValue) {
				out.ObserveInt64(integers[i], value, metric.WithAttributes(append(attrs, o.common...)...))
			})
		}
		out.ObserveFloat64(seconds, snapshot.Store.Calls.Sum.Seconds(), metric.WithAttributes(o.common...))
		return nil
	}, append(observables, seconds)...)
	if err != nil {
		return nil, err
	}
	return registration.Unregister, nil
}
