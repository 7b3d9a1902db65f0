package otellimit

import (
	"context"
	"errors"
	"iter"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/store"
)

// The attributes of spans and events. The first two are named after the semantic conventions for
// aspnetcore.rate_limiting.policy and .result, which are the only ones for rate limits.
const (
	policy      = attribute.Key("ratelimit.policy")
	result      = attribute.Key("ratelimit.result")
	limit       = attribute.Key("ratelimit.limit")
	remaining   = attribute.Key("ratelimit.remaining")
	retryAfter  = attribute.Key("ratelimit.retry_after") // in seconds
	storeReason = attribute.Key("ratelimit.store.reason")
	blockTimes  = attribute.Key("ratelimit.block.times")
)

// Hooks returns hooks that write decisions on the current span, for [ratelimit.Limiter.Observe]:
//
//   - each request sets the attributes ratelimit.policy, the name of the rule that decided, if any
//     did, and ratelimit.result: "acquired", or the [ratelimit.Reason] of a denial. The decision of
//     the innermost limiter or decorator stays
//   - each denied request or Take adds an event ratelimit.denied
//   - each request that a rule in DryRun would have denied adds an event ratelimit.dry_run_denied
//   - each block that begins adds an event ratelimit.blocked
//   - each decision that the store failed to make adds an event ratelimit.store_failed
//
// The span is the span in the context of the request, so the handler that starts it must be outside
// of the limiter. A request without a span that records costs nothing more. No attribute has a key.
// The hooks are safe for concurrent use.
func Hooks() ratelimit.Hooks {
	return ratelimit.Hooks{
		Decided: func(r *http.Request, d ratelimit.Decision, _ iter.Seq[ratelimit.Decision]) {
			if span := trace.SpanFromContext(r.Context()); span.IsRecording() {
				span.SetAttributes(decided(d.Rule, result.String(resultOf(&d)))...)
				events(span, &d)
			}
		},
		Taken: func(ctx context.Context, d ratelimit.Decision) {
			if span := trace.SpanFromContext(ctx); span.IsRecording() {
				events(span, &d)
			}
		},
		DryRun: func(r *http.Request, d ratelimit.Decision) {
			if span := trace.SpanFromContext(r.Context()); span.IsRecording() {
				span.AddEvent("ratelimit.dry_run_denied", trace.WithAttributes(denial(&d)...))
			}
		},
		Blocked: func(ctx context.Context, b ratelimit.Blocked) {
			if span := trace.SpanFromContext(ctx); span.IsRecording() {
				span.AddEvent("ratelimit.blocked",
					trace.WithAttributes(policy.String(b.Rule), blockTimes.Int(b.Times)))
			}
		},
	}
}

func resultOf(d *ratelimit.Decision) string {
	if d.Allowed {
		return "acquired"
	}
	return string(d.Reason)
}

// events adds what is worth an event: a denial, and a failure of the store.
func events(span trace.Span, d *ratelimit.Decision) {
	if d.StoreErr != nil {
		span.AddEvent("ratelimit.store_failed",
			trace.WithAttributes(decided(d.Rule, storeReason.String(string(reasonOf(d.StoreErr))))...))
	}
	if !d.Allowed {
		span.AddEvent("ratelimit.denied", trace.WithAttributes(denial(d)...))
	}
}

// reasonOf returns the reason of a StoreErr: [store.ReasonDown] if the store was not called.
func reasonOf(err error) store.Reason {
	var e *store.Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return store.ReasonOther
}

// decided returns attrs and the rule that decided, if any did.
func decided(rule string, attrs ...attribute.KeyValue) []attribute.KeyValue {
	if rule != "" {
		attrs = append(attrs, policy.String(rule))
	}
	return attrs
}

func denial(d *ratelimit.Decision) []attribute.KeyValue {
	attrs := decided(d.Rule, result.String(string(d.Reason)), remaining.Int64(d.Remaining))
	if d.Limit != (ratelimit.Limit{}) {
		attrs = append(attrs, limit.String(d.Limit.String()))
	}
	if d.RetryAfter > 0 {
		attrs = append(attrs, retryAfter.Float64(d.RetryAfter.Seconds()))
	}
	return attrs
}
