package suggest

import (
	"math"
	"slices"

	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/share"
)

// Options say which limits to suggest.
type Options struct {
	Share    float64 // of all clients, from 0 to 1, that all limits together may deny
	Routes   int     // how many routes get limits
	Headroom float64 // 1 or more: the smallest limits are multiplied by it
}

// A Suggestion is limits for some routes.
type Suggestion struct {
	Clients int64 // in the logs
	Denied  int64 // clients that the smallest limits deny at least once
	Skipped int64 // requests on no route, or on more routes than are counted
	Left    int   // counted routes that get no limit
	All     Route
	Routes  []Route
}

// Route is the suggestion for one route. All.Pattern is "".
type Route struct {
	Pattern  string
	Requests int64
	Clients  int64
	Busiest  [len(periods)]Distribution // by second, minute and hour
	Limits   [len(periods)]int64        // per second, minute and hour; 0 for a limit that never denies
}

// Suggest returns the smallest limits with which at most the given share of clients is denied.
func (t *Table) Suggest(opts Options) Suggestion {
	s := Suggestion{Clients: int64(len(t.clients)), Skipped: t.skipped}
	if s.Clients == 0 {
		return s
	}
	var routes []*route
	routes, s.Left = t.busiest(opts.Routes)
	routes = append([]*route{t.all}, routes...)
	f := newFitter(routes, len(t.clients))
	allowed := share.Of(opts.Share, s.Clients)
	// The more clients of a route may be denied, the smaller are its limits.
	low, high := 0.0, opts.Share
	s.Denied = f.fit(high)
	if s.Denied > allowed {
		for range 20 {
			if middle := (low + high) / 2; f.fit(middle) <= allowed {
				low = middle
			} else {
				high = middle
			}
		}
		s.Denied = f.fit(low)
	}
	for i, r := range routes {
		one := r.describe(f.limits[i], opts.Headroom)
		if i == 0 {
			s.All = one
		} else {
			s.Routes = append(s.Routes, one)
		}
	}
	return s
}

// A fitter finds limits for a share of denied clients per route.
type fitter struct {
	routes []*route
	sorted [][len(periods)][]int32 // the smallest limits of all clients, by route and period
	limits [][len(periods)]int32
	denied []bool // by client
}

func newFitter(routes []*route, clients int) *fitter {
	f := &fitter{
		routes: routes, limits: make([][len(periods)]int32, len(routes)), denied: make([]bool, clients),
	}
	for _, r := range routes {
		var sorted [len(periods)][]int32
		for p := range periods {
			sorted[p] = r.sorted(p, func(n *need) int32 { return n.smallest })
		}
		f.sorted = append(f.sorted, sorted)
	}
	return f
}

// fit sets the limits such that each denies at most the given share of the clients of its route. It
// returns how many clients all limits together deny.
func (f *fitter) fit(most float64) int64 {
	clear(f.denied)
	for i, r := range f.routes {
		for p := range periods {
			sorted := f.sorted[i][p]
			last := int64(len(sorted)) - 1
			f.limits[i][p] = sorted[last-min(share.Of(most, last+1), last)]
		}
		for client, needs := range r.clients {
			for p := range periods {
				f.denied[client] = f.denied[client] || needs[p].smallest > f.limits[i][p]
			}
		}
	}
	var n int64
	for _, denied := range f.denied {
		if denied {
			n++
		}
	}
	return n
}

// describe returns the suggestion for r, without limits that a limit of a longer or shorter period
// makes superfluous.
func (r *route) describe(limits [len(periods)]int32, headroom float64) Route {
	one := Route{Pattern: r.pattern, Requests: r.requests, Clients: int64(len(r.clients))}
	for p := range periods {
		one.Busiest[p] = distribution(r.sorted(p, func(n *need) int32 { return n.most }))
		one.Limits[p] = int64(math.Ceil(float64(limits[p]) * max(1, headroom)))
	}
	for p := range periods {
		strict := func(n int64) bool { return n > 0 && n <= one.Limits[p] }
		if slices.ContainsFunc(one.Limits[p+1:], strict) { // of a longer period
			one.Limits[p] = 0
		}
	}
	last := -1 // the limit before
	for p := range periods {
		if one.Limits[p] == 0 {
			continue
		}
		if last >= 0 && one.Limits[p] >= one.Limits[last]*int64(periods[p]/periods[last]) {
			one.Limits[p] = 0
			continue
		}
		last = p
	}
	return one
}
