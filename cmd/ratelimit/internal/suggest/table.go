// Package suggest finds, from the requests in access logs, which limits would deny few clients.
package suggest

import (
	"cmp"
	"slices"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/clientip"
	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/accesslog"
	"github.com/ratelimit-go/ratelimit/internal/topk"
)

// A Table counts requests by route and client. Its memory grows with the number of clients and the
// routes that they use, and not with the number of requests.
type Table struct {
	group   func(*accesslog.Entry) string
	all     *route
	busy    *topk.Sketch[string] // which routes are counted apart
	routes  map[string]*route    // these routes
	clients map[ratelimit.Key]int32
	last    int64 // time of the last request
	skipped int64 // requests on no route, or on routes that are not counted any more
}

// route is the count of one route.
type route struct {
	pattern  string
	example  *accesslog.Entry
	requests int64
	clients  map[int32]*[len(periods)]need
}

// MaxRoutes bounds the routes that are counted apart. A route beyond it takes the place of a route
// with few requests. So probes of invented paths displace each other, and no route with more than a
// hundredth of all requests. A policy file has at most 1,000 rules.
const MaxRoutes = 800

// NewTable returns a Table that finds the route of a request by group, which returns "" if the
// request has none.
func NewTable(group func(*accesslog.Entry) string) *Table {
	return &Table{
		group: group, all: newRoute("", nil), busy: topk.New(MaxRoutes, hash),
		routes: map[string]*route{}, clients: map[ratelimit.Key]int32{},
	}
}

func newRoute(pattern string, example *accesslog.Entry) *route {
	return &route{pattern: pattern, example: example, clients: map[int32]*[len(periods)]need{}}
}

// Add counts a request.
func (t *Table) Add(e *accesslog.Entry) {
	key := ratelimit.PrefixKey(clientip.Remote().Prefix(e.Client))
	client, ok := t.clients[key]
	if !ok {
		client = int32(len(t.clients))
		t.clients[key] = client
	}
	t.last = max(t.last, e.Time.UnixNano())
	t.all.add(client, t.last)
	pattern := t.group(e)
	if pattern == "" {
		t.skipped++
		return
	}
	if dropped, ok := t.busy.Add(pattern, 0); ok {
		t.skipped += t.routes[dropped].requests
		delete(t.routes, dropped)
	}
	r := t.routes[pattern]
	if r == nil {
		r = newRoute(pattern, &accesslog.Entry{Method: e.Method, URL: e.URL, Host: e.Host})
		t.routes[r.pattern] = r
	}
	r.add(client, t.last)
}

// hash is FNV-1a. It is the same in each run, and so is what a Table drops.
func hash(pattern string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(pattern) {
		h = (h ^ uint64(pattern[i])) * 1099511628211
	}
	return h
}

func (r *route) add(client int32, at int64) {
	r.requests++
	needs := r.clients[client]
	if needs == nil {
		needs = new([len(periods)]need)
		r.clients[client] = needs
	}
	for i := range needs {
		needs[i].add(at, periods[i])
	}
}

// Distribution is how many requests a client sent in its busiest calendar period, over all clients.
type Distribution struct {
	P50, P99, P999, Max int64
}

func distribution(sorted []int32) Distribution {
	at := func(share float64) int64 {
		i := int(share * float64(len(sorted)))
		return int64(sorted[min(i, len(sorted)-1)])
	}
	return Distribution{at(0.5), at(0.99), at(0.999), int64(sorted[len(sorted)-1])}
}

// sorted returns one number of each client, in order.
func (r *route) sorted(period int, number func(*need) int32) []int32 {
	numbers := make([]int32, 0, len(r.clients))
	for _, needs := range r.clients {
		numbers = append(numbers, number(&needs[period]))
	}
	slices.Sort(numbers)
	return numbers
}

// busiest returns the routes with most requests, and all other counted routes whose requests would
// match one of their patterns. It returns the number of routes that are left out.
func (t *Table) busiest(n int) (chosen []*route, left int) {
	var rest []*route
	for _, r := range t.routes {
		rest = append(rest, r)
	}
	slices.SortFunc(rest, func(a, b *route) int {
		return cmp.Or(cmp.Compare(b.requests, a.requests), cmp.Compare(a.pattern, b.pattern))
	})
	m := newMux(nil)
	for changed := true; changed; {
		changed = false
		for i := 0; i < len(rest); i++ {
			r := rest[i]
			if len(chosen) >= n && m.find(r.example) == "" {
				continue
			}
			rest = slices.Delete(rest, i, i+1)
			i--
			if changed = m.add(r.pattern); changed {
				chosen = append(chosen, r)
			} else {
				left++
			}
		}
	}
	return chosen, left + len(rest)
}
