package promlimit

import (
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/stats"
	"github.com/ratelimit-go/ratelimit/store"
)

const (
	callsName = "ratelimit_store_call_duration_seconds"
	callsHelp = "Time of calls of the store, failed ones included."
)

// A family is a metric with its series in a snapshot, except the histogram.
type family struct {
	name, help string
	kind       prometheus.ValueType
	labels     []string
	samples    func(*stats.Snapshot, add)
}

// add adds a series with the values of its labels.
type add func(value int64, labels ...string)

func families() []family {
	return slices.Concat(ruleFamilies(), storeFamilies(), memoryFamilies())
}

func ruleFamilies() []family {
	counter := func(name, help string, of func(*stats.Rule) int64) family {
		return eachRule(name, help, prometheus.CounterValue, of)
	}
	gauge := func(name, help string, of func(*stats.Rule) int64) family {
		return eachRule(name, help, prometheus.GaugeValue, of)
	}
	return []family{
		{
			"ratelimit_requests_total",
			"Requests by outcome (allowed, denied) and, if denied, by reason. " +
				"A denied request counts once, under the rule that denied it, or an empty rule. " +
				"An allowed request counts under each rule that applied to it.",
			prometheus.CounterValue,
			[]string{"rule", "outcome", "reason"},
			requests,
		},
		counter("ratelimit_near_limit_total",
			"Allowed requests that left less than the configured share of a burst.",
			func(r *stats.Rule) int64 { return r.NearLimit }),
		counter("ratelimit_dry_run_denied_total",
			"Requests that a rule in dry-run would have denied.",
			func(r *stats.Rule) int64 { return r.DryRun }),
		counter("ratelimit_blocks_total", "Blocks of keys that began in this process.",
			func(r *stats.Rule) int64 { return r.Blocks }),
		counter("ratelimit_held_total", "Requests that were held until their tokens were there.",
			func(r *stats.Rule) int64 { return r.Held }),
		counter("ratelimit_refunded_total", "Requests whose charge was refunded in full.",
			func(r *stats.Rule) int64 { return r.Refunded }),
		gauge("ratelimit_inflight", "Requests in flight in this process, under a rule that bounds them.",
			func(r *stats.Rule) int64 { return r.InFlight }),
		gauge("ratelimit_waiting", "Requests that are held now.",
			func(r *stats.Rule) int64 { return r.Waiting }),
		{
			"ratelimit_rule_info", "The limits and the mode of each rule. The value is 1.",
			prometheus.GaugeValue,
			[]string{"rule", "limit", "mode"},
			func(s *stats.Snapshot, add add) {
				for _, r := range s.Rules {
					add(1, r.Name, r.Limits, r.Mode)
				}
			},
		},
	}
}

// eachRule returns a family with one series for each rule.
func eachRule(name, help string, kind prometheus.ValueType, of func(*stats.Rule) int64) family {
	return family{name, help, kind, []string{"rule"}, func(s *stats.Snapshot, add add) {
		for i := range s.Rules {
			add(of(&s.Rules[i]), s.Rules[i].Name)
		}
	}}
}

func requests(s *stats.Snapshot, add add) {
	denied := func(rule string, counts map[string]int64, always []ratelimit.Reason) {
		all := map[string]int64{}
		for _, reason := range always {
			all[string(reason)] = 0
		}
		maps.Copy(all, counts)
		for reason, n := range all {
			add(n, rule, "denied", reason)
		}
	}
	for _, r := range s.Rules {
		add(r.Allowed, r.Name, "allowed", "")
		denied(r.Name, r.Denied, []ratelimit.Reason{
			ratelimit.ReasonLimit, ratelimit.ReasonExceedsBurst, ratelimit.ReasonNoKey, ratelimit.ReasonStore,
			ratelimit.ReasonInFlight, ratelimit.ReasonCapacity, ratelimit.ReasonBlocked,
		})
	}
	denied("", s.Denied, []ratelimit.Reason{ratelimit.ReasonDenied, ratelimit.ReasonStore})
}

func storeFamilies() []family {
	counter := func(name, help, label string, samples func(*stats.Store, add)) family {
		return family{name, help, prometheus.CounterValue, []string{label}, ofStore(samples)}
	}
	states := []store.State{store.Up, store.Recovering, store.Down}
	return []family{
		counter("ratelimit_store_decisions_total",
			"Decisions by what decided: store, cache (a cached denial), or if the store failed "+
				"open, closed or memory.",
			"decider", func(s *stats.Store, add add) {
				add(s.Answered, "store")
				add(s.CachedDenials, "cache")
				add(s.FailedOpen, "open")
				add(s.FailedClosed, "closed")
				add(s.FailedToMemory, "memory")
			}),
		counter("ratelimit_store_failures_total", "Failures of the store by reason.", "reason",
			func(s *stats.Store, add add) {
				for _, reason := range store.Reasons() {
					add(s.Failures[reason], string(reason))
				}
			}),
		{
			"ratelimit_store_state", "1 for the state of the store (up, recovering, down), 0 for the others.",
			prometheus.GaugeValue,
			[]string{"state"},
			ofStore(func(s *stats.Store, add add) {
				for _, state := range states {
					var on int64
					if s.State == state {
						on = 1
					}
					add(on, string(state))
				}
			}),
		},
		counter("ratelimit_store_state_changes_total", "Changes of the state of the store, by the new state.",
			"state", func(s *stats.Store, add add) {
				for _, state := range states {
					add(s.Changes[state], string(state))
				}
			}),
	}
}

func ofStore(samples func(*stats.Store, add)) func(*stats.Snapshot, add) {
	return func(s *stats.Snapshot, add add) { samples(&s.Store, add) }
}

// memoryFamilies have no series if the limiter has no MemoryStore.
func memoryFamilies() []family {
	one := func(name, help string, kind prometheus.ValueType, of func(*stats.Memory) int64) family {
		return family{name, help, kind, nil, func(s *stats.Snapshot, add add) {
			if s.Memory.MaxKeys > 0 {
				add(of(&s.Memory))
			}
		}}
	}
	return []family{
		one("ratelimit_memory_keys", "Buckets in the memory store, full ones included.",
			prometheus.GaugeValue, func(m *stats.Memory) int64 { return int64(m.Keys) }),
		one("ratelimit_memory_max_keys", "Buckets that the memory store holds at most.",
			prometheus.GaugeValue, func(m *stats.Memory) int64 { return int64(m.MaxKeys) }),
		one("ratelimit_memory_overflowed_total", "Decisions on keys for which the memory store had no room.",
			prometheus.CounterValue, func(m *stats.Memory) int64 { return m.Overflowed }),
	}
}
