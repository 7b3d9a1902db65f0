package dashboard

import (
	"sync"
	"time"

	"github.com/ratelimit-go/ratelimit/stats"
)

// The history is a ring of slots: five minutes.
const (
	slots    = 60
	slotTime = 5 * time.Second
	maxRules = 2000 // rules that have a history
	quiet    = time.Minute
)

// point is what happened in one slot. Of allowed, near left little of a burst, and a rule in
// dry-run mode would have denied dryRun.
type point struct {
	allowed, near, denied, dryRun int64
}

func (p *point) add(o point) {
	p.allowed, p.near = p.allowed+o.allowed, p.near+o.near
	p.denied, p.dryRun = p.denied+o.denied, p.dryRun+o.dryRun
}

// minus returns what was added to the counters o. A counter that went down has begun again.
func (p point) minus(o point) point {
	return point{
		max(p.allowed-o.allowed, 0), max(p.near-o.near, 0),
		max(p.denied-o.denied, 0), max(p.dryRun-o.dryRun, 0),
	}
}

// series is the history of one rule.
type series struct {
	last                     point // the counters at the last sample
	points                   [slots]point
	denied, dryRun, near     time.Time // when that happened last
	startedDry, started, low bool      // whether it began again with the last sample
}

// calls is the history of the calls of the store.
type calls struct {
	last   stats.Durations
	points [slots]stats.Durations
}

// history keeps the differences of counters. It is filled by samples: at the first decision of each
// slot, and more often while a page is open. What a sample finds happened since the last sample, so
// it belongs to the slot of the last sample. The decision that causes the sample is an exception.
type history struct {
	mu       sync.Mutex
	from, at time.Time // of the first and of the last sample
	slot     int64     // of the last sample
	rules    map[string]*series
	total    series
	store    calls
	snapshot stats.Snapshot
}

func slotOf(now time.Time) int64 { return now.UnixNano() / int64(slotTime) }

// nextSlot returns when the slot after the slot of now begins, in nanoseconds since 1970.
func nextSlot(now time.Time) int64 { return (slotOf(now) + 1) * int64(slotTime) }

// ruled is what a decision has added to the counters of a rule.
type ruled struct {
	rule string
	point
}

// add adds a sample, and returns the rules to which something happens after a quiet time. Late
// belongs to the slot of now.
func (h *history) add(now time.Time, s stats.Snapshot, total point, late ...ruled) (begun []event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	first := h.from.IsZero()
	if first {
		h.from, h.slot, h.rules = now, slotOf(now), map[string]*series{}
	}
	old := h.rules
	h.rules = make(map[string]*series, len(s.Rules))
	for i := range s.Rules {
		r := &s.Rules[i]
		one := old[r.Name]
		if one == nil {
			one = new(series)
		}
		if len(h.rules) < maxRules {
			h.rules[r.Name] = one
			one.add(now, h.slot, pointOf(r), first)
			begun = append(begun, one.begun(now, r.Name)...)
		}
	}
	h.total.add(now, h.slot, total, first)
	h.store.add(h.slot, s.Store.Calls, first)
	before := h.slot
	h.advance(max(slotOf(now), h.slot))
	for _, l := range late {
		if one := h.rules[l.rule]; one != nil && h.slot > before && !first {
			one.points[before%slots] = one.points[before%slots].minus(l.point)
			one.points[h.slot%slots].add(l.point)
		}
	}
	h.at, h.snapshot = now, s
	return begun
}

// advance empties the slots up to slot.
func (h *history) advance(slot int64) {
	for at := max(h.slot+1, slot-slots+1); at <= slot; at++ {
		for _, one := range h.rules {
			one.points[at%slots] = point{}
		}
		h.total.points[at%slots] = point{}
		h.store.points[at%slots] = stats.Durations{}
	}
	h.slot = slot
}

func pointOf(r *stats.Rule) point {
	p := point{allowed: r.Allowed, near: r.NearLimit, dryRun: r.DryRun}
	for _, n := range r.Denied {
		p.denied += n
	}
	return p
}

// add adds what was counted since the last sample to the given slot.
func (s *series) add(now time.Time, slot int64, counted point, first bool) {
	d := counted.minus(s.last)
	s.last = counted
	s.started, s.startedDry, s.low = false, false, false
	if first {
		return
	}
	s.points[slot%slots].add(d)
	mark := func(n int64, last *time.Time, begun *bool) {
		if n > 0 {
			*begun, *last = now.Sub(*last) > quiet, now
		}
	}
	mark(d.denied, &s.denied, &s.started)
	mark(d.dryRun, &s.dryRun, &s.startedDry)
	mark(d.near, &s.near, &s.low)
}

// begun returns what has begun with the last sample.
func (s *series) begun(now time.Time, rule string) (list []event) {
	if s.low {
		list = append(list, event{at: now, level: "warn", text: "clients come near the limit", rule: rule})
	}
	if s.startedDry {
		list = append(list, event{at: now, level: "warn", text: "the rule would deny requests", rule: rule})
	}
	if s.started {
		list = append(list, event{at: now, level: "bad", text: "the rule denies requests", rule: rule})
	}
	return list
}

// sum returns what happened in the last n slots, the slot of now included.
func (s *series) sum(slot int64, n int) (all point) {
	for i := range int64(n) {
		all.add(s.points[(slot-i+slots)%slots])
	}
	return all
}

// ordered returns the points, oldest first.
func (s *series) ordered(slot int64) []point {
	list := make([]point, slots)
	for i := range list {
		list[i] = s.points[(slot+1+int64(i))%slots]
	}
	return list
}

// rateTime returns how long the current slot and the slot before have lasted, in seconds.
func (h *history) rateTime(now time.Time) float64 {
	since := time.Unix(0, (h.slot-1)*int64(slotTime))
	if h.from.After(since) {
		since = h.from
	}
	return max(now.Sub(since), time.Second).Seconds()
}

// add adds the calls since the last sample to the given slot.
func (c *calls) add(slot int64, counted stats.Durations, first bool) {
	if !first && counted.Count >= c.last.Count {
		addCalls(&c.points[slot%slots], counted, 1)
		addCalls(&c.points[slot%slots], c.last, -1)
	}
	c.last = counted
}

// addCalls adds sign times o to d. The buckets of o are the buckets of d, or d has none.
func addCalls(d *stats.Durations, o stats.Durations, sign int64) {
	d.Count += sign * o.Count
	d.Sum += time.Duration(sign) * o.Sum
	if len(d.Buckets) == 0 {
		d.Buckets = make([]stats.Bucket, len(o.Buckets))
	}
	for i := range min(len(d.Buckets), len(o.Buckets)) {
		d.Buckets[i].Most = o.Buckets[i].Most
		d.Buckets[i].Count += sign * o.Buckets[i].Count
	}
}

// minute returns the calls of the last minute.
func (c *calls) minute(slot int64) (all stats.Durations) {
	for i := range int64(time.Minute / slotTime) {
		addCalls(&all, c.points[(slot-i+slots)%slots], 1)
	}
	return all
}

// quantile returns how long a share of the calls took at most. It is 0 without a call, and negative
// if the last bucket is too short.
func quantile(d stats.Durations, share float64) time.Duration {
	if d.Count == 0 {
		return 0
	}
	for _, b := range d.Buckets {
		if float64(b.Count) >= share*float64(d.Count) {
			return b.Most
		}
	}
	return -1
}
