package dashboard

import (
	"cmp"
	"slices"
	"time"

	"github.com/ratelimit-go/ratelimit"
)

// How much the page shows.
const (
	maxCharts  = 30  // rules with a chart
	maxNamed   = 500 // rules without one
	maxClients = 20
	maxBlocks  = 50
	shownEvent = 30
)

// view is what the page shows. Templates read it.
type view struct {
	Act     bool // whether actions are offered
	Sum     sumView
	Rules   []ruleView
	Quiet   []ruleView // rules to which nothing has happened lately
	Unnamed int        // rules that are not shown at all
	Denied  clientsView
	Asking  clientsView
	Near    clientsView
	DryRun  clientsView
	Blocks  []blockView
	Hidden  int // blocks that are not shown
	Store   storeView
	Events  []eventView
}

type sumView struct {
	Asked, Denied, Near, DryRun string
	Share                       string // of denied requests, in percent
	InFlight, Waiting, Blocked  string
	State, StateClass           string
	Chart                       chart
}

type ruleView struct {
	Name, Limits, Mode         string
	Allowed, Denied, Near, Dry string // per second
	InFlight, Waiting          string
	AnyDenied, AnyNear, AnyDry bool
	Chart                      chart
	sum                        point
}

// who is a key for people, and in the form that [ratelimit.ParseKey] reads.
type who struct{ Text, Label string }

type blockView struct {
	Rule, Until, Left string
	Who               who
	Times             int
}

type eventView struct {
	At, Level, Text, Rule string
	Who                   who
	Times                 int
}

func (p *Page) who(k ratelimit.Key) who {
	if k.IsZero() {
		return who{}
	}
	w := who{Text: k.String(), Label: p.labels.find(k)}
	if full := p.limiter.Label(k); w.Label == "" && full != w.Text {
		w.Label = clean(full, maxLabel)
	}
	return w
}

// view takes a sample and returns what the page shows at the time now.
func (p *Page) view(now time.Time, act bool) *view {
	p.sample(now, nil)
	v := &view{Act: act}
	h := &p.watch.history
	h.mu.Lock()
	p.fillRules(v, h, now)
	p.fillSum(v, h, now)
	v.Store = storeViewOf(h)
	h.mu.Unlock()
	p.fillClients(v, now)
	p.fillBlocks(v, now)
	for _, e := range p.watch.events.last(shownEvent) {
		v.Events = append(v.Events, eventView{clock(e.at), e.level, e.text, e.rule, p.who(e.key), e.times})
	}
	return v
}

// fillRules fills in the rules: the busiest first, rules with the same traffic by name.
func (p *Page) fillRules(v *view, h *history, now time.Time) {
	var busy, idle []ruleView
	for i := range h.snapshot.Rules {
		r := &h.snapshot.Rules[i]
		rv := ruleView{Name: r.Name, Limits: r.Limits, Mode: r.Mode}
		if r.InFlight > 0 {
			rv.InFlight = number(r.InFlight)
		}
		if r.Waiting > 0 {
			rv.Waiting = number(r.Waiting)
		}
		s := h.rules[r.Name]
		if s != nil {
			rv.sum = s.sum(h.slot, slots)
		}
		if rv.sum == (point{}) && r.InFlight+r.Waiting == 0 {
			idle = append(idle, rv)
			continue
		}
		busy = append(busy, rv)
	}
	slices.SortStableFunc(busy, func(a, b ruleView) int {
		return cmp.Or(cmp.Compare(b.sum.denied, a.sum.denied), cmp.Compare(b.sum.dryRun, a.sum.dryRun),
			cmp.Compare(b.sum.allowed, a.sum.allowed), cmp.Compare(a.Name, b.Name))
	})
	v.Rules = busy[:min(len(busy), maxCharts)]
	for i := range v.Rules {
		v.Rules[i].fill(h, now)
	}
	v.Quiet = slices.Concat(busy[len(v.Rules):], idle)
	for i := range v.Quiet {
		v.Quiet[i].sum = point{} // so that a list that looks the same is the same
	}
	slices.SortFunc(v.Quiet, func(a, b ruleView) int { return cmp.Compare(a.Name, b.Name) })
	v.Unnamed = max(len(v.Quiet)-maxNamed, 0)
	v.Quiet = v.Quiet[:len(v.Quiet)-v.Unnamed]
}

// fill fills in the rates and the chart.
func (rv *ruleView) fill(h *history, now time.Time) {
	s, seconds := h.rules[rv.Name], h.rateTime(now)
	if s == nil {
		return
	}
	recent := s.sum(h.slot, 2)
	rv.Allowed, rv.Denied = rate(float64(recent.allowed)/seconds), rate(float64(recent.denied)/seconds)
	rv.Near, rv.Dry = rate(float64(recent.near)/seconds), rate(float64(recent.dryRun)/seconds)
	rv.AnyDenied, rv.AnyNear, rv.AnyDry = recent.denied > 0, recent.near > 0, recent.dryRun > 0
	rv.Chart = draw(s.ordered(h.slot), rowHeight)
}

func (p *Page) fillSum(v *view, h *history, now time.Time) {
	recent, seconds := h.total.sum(h.slot, 2), h.rateTime(now)
	asked := recent.allowed + recent.denied
	inFlight, waiting, near, dryRun := int64(0), int64(0), int64(0), int64(0)
	for i := range h.snapshot.Rules {
		r := &h.snapshot.Rules[i]
		inFlight, waiting = inFlight+r.InFlight, waiting+r.Waiting
		if s := h.rules[r.Name]; s != nil {
			sum := s.sum(h.slot, 2)
			near, dryRun = near+sum.near, dryRun+sum.dryRun
		}
	}
	v.Sum = sumView{
		Asked: rate(float64(asked) / seconds), Denied: rate(float64(recent.denied) / seconds),
		Near: rate(float64(near) / seconds), DryRun: rate(float64(dryRun) / seconds),
		InFlight: number(inFlight), Waiting: number(waiting),
		Chart: draw(h.total.ordered(h.slot), bigHeight),
	}
	if asked > 0 {
		v.Sum.Share = rate(100*float64(recent.denied)/float64(asked)) + " %"
	}
	v.Sum.State, v.Sum.StateClass = stateOf(h.snapshot.Store.State)
}

func (p *Page) fillBlocks(v *view, now time.Time) {
	all := p.blocks.get(now, func() []ratelimit.Blocked { return p.limiter.Blocked() })
	v.Sum.Blocked = number(int64(len(all)))
	for _, b := range all[:min(len(all), maxBlocks)] {
		v.Blocks = append(v.Blocks, p.blockView(b, now))
	}
	v.Hidden = len(all) - len(v.Blocks)
}

func (p *Page) blockView(b ratelimit.Blocked, now time.Time) blockView {
	return blockView{b.Rule, day(b.Until), length(b.Until.Sub(now)), p.who(b.Key), b.Times}
}
