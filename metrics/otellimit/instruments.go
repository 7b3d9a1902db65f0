package otellimit

import (
	"maps"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/stats"
	"github.com/ratelimit-go/ratelimit/store"
)

const (
	callTime            = "ratelimit.store.call.time"
	callTimeDescription = "Time of all calls of the store together, failed ones included."
)

// An instrument is a metric of integers with its points in a snapshot.
type instrument struct {
	kind                    kind
	name, unit, description string
	samples                 func(*stats.Snapshot, add)
}

type kind bool

const (
	counter kind = true
	upDown  kind = false // adds up over instances too, so none of the metrics is a gauge
)

// add adds a point with its attributes.
type add func(value int64, attrs ...attribute.KeyValue)

// make returns the instrument of meter.
func (in *instrument) make(meter metric.Meter) (metric.Int64Observable, error) {
	description, unit := metric.WithDescription(in.description), metric.WithUnit(in.unit)
	if in.kind == counter {
		return meter.Int64ObservableCounter(in.name, description, unit)
	}
	return meter.Int64ObservableUpDownCounter(in.name, description, unit)
}

func instruments() []instrument {
	return slices.Concat(ruleInstruments(), storeInstruments(), memoryInstruments())
}

func rule(name string) attribute.KeyValue { return attribute.String("rule", name) }

func ruleInstruments() []instrument {
	each := func(of func(*stats.Rule) int64) func(*stats.Snapshot, add) {
		return func(s *stats.Snapshot, add add) {
			for i := range s.Rules {
				add(of(&s.Rules[i]), rule(s.Rules[i].Name))
			}
		}
	}
	return []instrument{
		{
			counter, "ratelimit.requests", "{request}",
			"Requests by outcome (allowed, denied) and, if denied, by reason. " +
				"A denied request counts once, under the rule that denied it, or without a rule. " +
				"An allowed request counts under each rule that applied to it.",
			requests,
		},
		{
			counter, "ratelimit.near_limit", "{request}",
			"Allowed requests that left less than the configured share of a burst.",
			each(func(r *stats.Rule) int64 { return r.NearLimit }),
		},
		{
			counter, "ratelimit.dry_run_denied", "{request}",
			"Requests that a rule in dry-run would have denied.",
			each(func(r *stats.Rule) int64 { return r.DryRun }),
		},
		{
			counter, "ratelimit.blocks", "{block}", "Blocks of keys that began in this process.",
			each(func(r *stats.Rule) int64 { return r.Blocks }),
		},
		{
			counter, "ratelimit.held", "{request}", "Requests that were held until their tokens were there.",
			each(func(r *stats.Rule) int64 { return r.Held }),
		},
		{
			counter, "ratelimit.refunded", "{request}", "Requests whose charge was refunded in full.",
			each(func(r *stats.Rule) int64 { return r.Refunded }),
		},
		{
			upDown, "ratelimit.inflight", "{request}",
			"Requests in flight in this process, under a rule that bounds them.",
			each(func(r *stats.Rule) int64 { return r.InFlight }),
		},
		{
			upDown, "ratelimit.waiting", "{request}", "Requests that are held now.",
			each(func(r *stats.Rule) int64 { return r.Waiting }),
		},
		{
			upDown, "ratelimit.rule.info", "", "The limits and the mode of each rule. The value is 1.",
			func(s *stats.Snapshot, add add) {
				for _, r := range s.Rules {
					limit, mode := attribute.String("limit", r.Limits), attribute.String("mode", r.Mode)
					add(1, rule(r.Name), limit, mode)
				}
			},
		},
	}
}

func requests(s *stats.Snapshot, add add) {
	outcome := func(o string) attribute.KeyValue { return attribute.String("outcome", o) }
	denied := func(counts map[string]int64, always []ratelimit.Reason, attrs ...attribute.KeyValue) {
		all := map[string]int64{}
		for _, reason := range always {
			all[string(reason)] = 0
		}
		maps.Copy(all, counts)
		for reason, n := range all {
			add(n, append(attrs, outcome("denied"), attribute.String("reason", reason))...)
		}
	}
	for _, r := range s.Rules {
		add(r.Allowed, rule(r.Name), outcome("allowed"))
		denied(r.Denied, []ratelimit.Reason{
			ratelimit.ReasonLimit, ratelimit.ReasonExceedsBurst, ratelimit.ReasonNoKey, ratelimit.ReasonStore,
			ratelimit.ReasonInFlight, ratelimit.ReasonCapacity, ratelimit.ReasonBlocked,
		}, rule(r.Name))
	}
	denied(s.Denied, []ratelimit.Reason{ratelimit.ReasonDenied, ratelimit.ReasonStore})
}

func storeInstruments() []instrument {
	states := []store.State{store.Up, store.Recovering, store.Down}
	state := func(s store.State) attribute.KeyValue { return attribute.String("state", string(s)) }
	return []instrument{
		{
			counter, "ratelimit.store.decisions", "{decision}",
			"Decisions by what decided: store, cache (a cached denial), or if the store failed " +
				"open, closed or memory.",
			func(s *stats.Snapshot, add add) {
				decider := func(d string) attribute.KeyValue { return attribute.String("decider", d) }
				add(s.Store.Answered, decider("store"))
				add(s.Store.CachedDenials, decider("cache"))
				add(s.Store.FailedOpen, decider("open"))
				add(s.Store.FailedClosed, decider("closed"))
				add(s.Store.FailedToMemory, decider("memory"))
			},
		},
		{
			counter, "ratelimit.store.failures", "{failure}", "Failures of the store by reason.",
			func(s *stats.Snapshot, add add) {
				for _, reason := range store.Reasons() {
					add(s.Store.Failures[reason], attribute.String("reason", string(reason)))
				}
			},
		},
		{
			upDown, "ratelimit.store.state", "",
			"1 for the state of the store (up, recovering, down), 0 for the others.",
			func(s *stats.Snapshot, add add) {
				for _, one := range states {
					var on int64
					if s.Store.State == one {
						on = 1
					}
					add(on, state(one))
				}
			},
		},
		{
			counter, "ratelimit.store.state_changes", "{change}",
			"Changes of the state of the store, by the new state.",
			func(s *stats.Snapshot, add add) {
				for _, one := range states {
					add(s.Store.Changes[one], state(one))
				}
			},
		},
		{
			counter, "ratelimit.store.calls", "{call}", "Calls of the store, failed ones included.",
			func(s *stats.Snapshot, add add) { add(s.Store.Calls.Count) },
		},
	}
}

// memoryInstruments have no points if the limiter has no MemoryStore.
func memoryInstruments() []instrument {
	one := func(of func(*stats.Memory) int64) func(*stats.Snapshot, add) {
		return func(s *stats.Snapshot, add add) {
			if s.Memory.MaxKeys > 0 {
				add(of(&s.Memory))
			}
		}
	}
	return []instrument{
		{
			upDown, "ratelimit.memory.keys", "{bucket}", "Buckets in the memory store, full ones included.",
			one(func(m *stats.Memory) int64 { return int64(m.Keys) }),
		},
		{
			upDown, "ratelimit.memory.max_keys", "{bucket}", "Buckets that the memory store holds at most.",
			one(func(m *stats.Memory) int64 { return int64(m.MaxKeys) }),
		},
		{
			counter, "ratelimit.memory.overflowed", "{decision}",
			"Decisions on keys for which the memory store had no room.",
			one(func(m *stats.Memory) int64 { return m.Overflowed }),
		},
	}
}
