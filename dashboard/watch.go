package dashboard

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/key"
	"github.com/ratelimit-go/ratelimit/internal/topk"
	"github.com/ratelimit-go/ratelimit/store"
)

// Sizes of the sketches.
const (
	counters = 1000
	span     = 150 * time.Second
)

// subject is a key under a rule.
type subject struct {
	key  ratelimit.Key
	rule string
}

// watch counts what the hooks of a limiter tell. Its memory is bounded.
type watch struct {
	limiter              *ratelimit.Limiter
	nearShare            float64 // of a burst: a client that has less left is near its limit
	asking               *topk.Window[ratelimit.Key]
	denied, dryRun, near *topk.Window[subject]
	news                 news
	events               events
	history              history
	allowed, denials     atomic.Int64
	next                 atomic.Int64 // when to take a sample, in nanoseconds since 1970
	sample               func(now time.Time, first []ruled)
	visitors             sync.Pool // of *visitor
	tried                sync.Map  // of []ratelimit.Key, by *http.Request: see try
}

func newWatch(limiter *ratelimit.Limiter) *watch {
	seed := key.NewSeed()
	byKey := func(k ratelimit.Key) uint64 { return seed.Hash(&k) }
	bySubject := func(s subject) uint64 { return seed.Hash(&s.key) }
	return &watch{
		limiter:   limiter,
		nearShare: limiter.Stats().NearShare,
		visitors:  sync.Pool{New: newVisitor},

		asking: topk.NewWindow(counters, span, byKey),
		denied: topk.NewWindow(counters, span, bySubject),
		dryRun: topk.NewWindow(counters, span, bySubject),
		near:   topk.NewWindow(counters, span, bySubject),
	}
}

// hooks returns the hooks by which a limiter tells w what happens.
func (w *watch) hooks() ratelimit.Hooks {
	return ratelimit.Hooks{
		Decided: func(r *http.Request, d ratelimit.Decision, rules iter.Seq[ratelimit.Decision]) {
			keys, again := outerKeys(r.Context(), w.limiter)
			w.decided(&decision{d, rules, w.triedBy(r), keys, again})
		},
		Taken: func(ctx context.Context, d ratelimit.Decision) {
			if d.Allowed && d.Reason != "" && d.Reason != ratelimit.ReasonStore {
				w.wouldDeny(&d)
			}
			rules := func(yield func(ratelimit.Decision) bool) { yield(d) }
			keys, again := outerKeys(ctx, w.limiter)
			again = again && d.Allowed // what a handler does after a denial is not known
			w.decided(&decision{Decision: d, rules: rules, known: keys, again: again})
		},
		DryRun: func(r *http.Request, d ratelimit.Decision) {
			w.wouldDeny(&d)
			w.try(r, d.Key)
		},
		Blocked: func(_ context.Context, b ratelimit.Blocked) {
			now := time.Now()
			text := "blocked for " + length(b.Until.Sub(now))
			if b.Times > 1 {
				text += fmt.Sprintf(", block %d in a row", b.Times)
			}
			w.events.add(event{at: now, level: "bad", text: text, rule: b.Rule, key: b.Key})
		},
		StoreState: func(_ context.Context, s store.State) {
			level := "bad"
			if s == store.Up {
				level = "info"
			}
			w.events.add(event{at: time.Now(), level: level, text: "the store is " + fmt.Sprint(s)})
		},
		Error: func(_ context.Context, err error) { w.failed(err) },
	}
}

// wouldDeny counts a decision of a rule in dry-run mode to deny. The decision on the request comes
// after it, and delivers its news.
func (w *watch) wouldDeny(d *ratelimit.Decision) {
	now := time.Now()
	w.dryRun.Add(subject{d.Key, d.Rule}, 0, now)
	w.news.tell(dryRunNews, d.Rule, now)
}

// try notes a key of a request that a rule in dry-run mode would deny. The decision on the request
// does not tell it.
func (w *watch) try(r *http.Request, k ratelimit.Key) {
	keys, _ := w.tried.Load(r)
	before, _ := keys.([]ratelimit.Key)
	w.tried.Store(r, append(before, k))
}

// triedBy returns the keys that were noted for r, and forgets them.
func (w *watch) triedBy(r *http.Request) []ratelimit.Key {
	keys, _ := w.tried.LoadAndDelete(r)
	all, _ := keys.([]ratelimit.Key)
	return all
}

// ruledOf returns what the decision of a rule has added to the counters of rules.
func (w *watch) ruledOf(rule string, allowed bool, rules iter.Seq[ratelimit.Decision]) (list []ruled) {
	if !allowed {
		return []ruled{{rule, point{denied: 1}}}
	}
	for r := range rules {
		p := point{allowed: 1}
		if w.little(&r) {
			p.near = 1
		}
		list = append(list, ruled{r.Rule, p})
	}
	return list
}

// total returns how many requests were decided.
func (w *watch) total() point { return point{allowed: w.allowed.Load(), denied: w.denials.Load()} }

// failed adds an event for an error.
func (w *watch) failed(err error) {
	w.events.add(event{at: time.Now(), level: "warn", text: err.Error()})
}

// decision is what a hook tells of one decision.
type decision struct {
	ratelimit.Decision
	rules iter.Seq[ratelimit.Decision]
	tried []ratelimit.Key // for which rules in dry-run mode would deny the request
	known []ratelimit.Key // of the decisions of outer handlers on the same request
	again bool            // an outer handler has allowed the same request
}

// decided counts a decision and takes a sample if it is time.
func (w *watch) decided(d *decision) {
	now := time.Now()
	if next := w.next.Load(); now.UnixNano() >= next && w.next.CompareAndSwap(next, nextSlot(now)) {
		w.sample(now, w.ruledOf(d.Rule, d.Allowed, d.rules))
	}
	switch {
	case !d.Allowed:
		w.denials.Add(1)
		w.denied.Add(subject{d.Key, deniedBy(&d.Decision)}, 0, now)
		w.news.tell(denialNews, d.Rule, now)
		if d.again {
			w.allowed.Add(-1)
		}
	case !d.again:
		w.allowed.Add(1)
	}
	v := w.visitors.Get().(*visitor)
	v.watch, v.now, v.n, v.known = w, now, 0, d.known
	d.rules(v.visit)
	for _, k := range d.tried {
		v.ask(k)
	}
	if v.n == 0 {
		v.ask(d.Key)
	}
	v.watch, v.known = nil, nil
	w.visitors.Put(v)
	w.news.deliver(now)
}

// deniedBy returns the rule that denied, or what else did.
func deniedBy(d *ratelimit.Decision) string {
	switch {
	case d.Rule != "":
		return d.Rule
	case d.Reason == ratelimit.ReasonDenied:
		return "(deny list)"
	}
	return "(" + string(d.Reason) + ")"
}

// visitor counts the decisions of the rules of one request. It is reused, because what a loop over
// an iterator uses is allocated: without visitors, a decision allocates four times more.
type visitor struct {
	watch *watch
	now   time.Time
	keys  [4]ratelimit.Key // of this request, which were counted
	n     int
	known []ratelimit.Key // of this request, which were counted before
	visit func(ratelimit.Decision) bool
}

func newVisitor() any {
	v := new(visitor)
	v.visit = v.count
	return v
}

func (v *visitor) count(r ratelimit.Decision) bool {
	if r.Allowed && v.watch.nearLimit(&r) {
		v.watch.near.Add(subject{r.Key, r.Rule}, 100*r.Remaining/burst(r.Limit), v.now)
		v.watch.news.tell(nearNews, r.Rule, v.now)
	}
	v.ask(r.Key)
	return true
}

// ask counts a key of the request, once.
func (v *visitor) ask(k ratelimit.Key) {
	if v.n < len(v.keys) && !k.IsZero() && !slices.Contains(v.keys[:v.n], k) && !slices.Contains(v.known, k) {
		v.keys[v.n] = k
		v.n++
		v.watch.asking.Add(k, 0, v.now)
	}
}

// little reports whether d leaves so little of a burst that stats.Rule.NearLimit counts it.
func (w *watch) little(d *ratelimit.Decision) bool {
	return d.Reason == "" && float64(d.Remaining) < w.nearShare*float64(burst(d.Limit))
}

// nearLimit reports whether a client is near its limit. With a burst of one, that says nothing.
func (w *watch) nearLimit(d *ratelimit.Decision) bool { return burst(d.Limit) > 1 && w.little(d) }

func burst(l ratelimit.Limit) int64 {
	if l.Burst != 0 {
		return l.Burst
	}
	return l.Count
}
