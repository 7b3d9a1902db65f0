package report

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/accesslog"
	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/plain"
	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/replay"
)

// A Collector adds up results. Its memory grows with the number of clients, and not with the
// number of requests.
type Collector struct {
	report  Report
	rules   map[string]*Rule
	clients map[ratelimit.Key]*client

	against *Against
	changes map[string]*Change
}

// maxText is how much of a line is kept.
const maxText = 300

// client is the count of one client.
type client struct {
	requests, denied, oldDenied, newlyDenied int64
	detail                                   *detail // nil until a request is denied
}

type detail struct {
	rules       map[string]int64
	first, last Line
}

// NewCollector returns a Collector for the policy of that name, and, if against is not empty, for
// the comparison with another policy.
func NewCollector(policy, against string) *Collector {
	c := &Collector{
		rules: map[string]*Rule{}, clients: map[ratelimit.Key]*client{},
		changes: map[string]*Change{},
	}
	c.report = Report{ // JSON has [] for an empty list, and null for nil
		Policy: plain.Text(policy, 200), Rules: []Rule{}, Notes: []string{}, Time: Timeline{Slots: []Slot{}},
	}
	if against != "" {
		c.against = &Against{Policy: plain.Text(against, 200), Rules: []Change{}}
	}
	return c
}

// Add counts the result for an entry. The second result is of the other policy, if any.
func (c *Collector) Add(e *accesslog.Entry, now, other *replay.Result) {
	r := &c.report
	then := e.Status == http.StatusTooManyRequests
	if r.Requests++; r.Requests == 1 {
		r.From = e.Time
	}
	if e.Time.After(r.To) {
		r.To = e.Time
	}
	r.Time.add(e.Time, now.Denied, then)
	if then {
		r.Then.Denied++
	}
	k := c.clients[now.Client]
	if k == nil {
		k = new(client)
		c.clients[now.Client] = k
	}
	k.requests++
	c.addRules(now)
	if now.Denied {
		c.deny(e, now, k, then)
	}
	if other != nil {
		c.compare(now, other, k)
	}
}

func (c *Collector) addRules(now *replay.Result) {
	for _, a := range now.Applied {
		rule := c.rule(a.Rule)
		if a.Missing() {
			rule.Missing++
		}
	}
	for _, a := range now.Dry {
		rule := c.rule(a.Rule)
		rule.Dry++
		if a.Missing() {
			rule.Missing++
		}
	}
}

func (c *Collector) rule(name string) *Rule {
	if name == "" {
		name = "(deny list)"
	}
	rule := c.rules[name]
	if rule == nil {
		rule = &Rule{Name: plain.Text(name, 64)}
		c.rules[name] = rule
	}
	return rule
}

func (c *Collector) deny(e *accesslog.Entry, now *replay.Result, k *client, then bool) {
	c.report.Denied++
	if then {
		c.report.Then.Both++
	} else {
		c.report.Then.OnlyNow++
	}
	k.denied++
	line := Line{File: e.File, Number: e.Number, Time: e.Time, Text: e.Line}
	if len(line.Text) > maxText {
		line.Text = strings.Clone(line.Text[:maxText]) // the whole line would be kept
	}
	if k.detail == nil {
		k.detail = &detail{rules: map[string]int64{}, first: line}
	}
	k.detail.last = line
	rule := c.rule(now.Decision.Rule)
	rule.Denied++
	if k.detail.rules[rule.Name]++; k.detail.rules[rule.Name] == 1 {
		rule.Clients++
	}
}

func (c *Collector) compare(now, other *replay.Result, k *client) {
	if other.Denied {
		c.against.Denied++
		k.oldDenied++
	}
	switch {
	case now.Denied && !other.Denied:
		c.against.NewlyDenied++
		k.newlyDenied++
		c.change(now.Decision.Rule).NewlyDenied++
	case !now.Denied && other.Denied:
		c.against.NewlyAllowed++
		c.change(other.Decision.Rule).NewlyAllowed++
	}
}

func (c *Collector) change(rule string) *Change {
	ch := c.changes[rule]
	if ch == nil {
		ch = &Change{Name: plain.Text(cmp.Or(rule, "(deny list)"), 64)}
		c.changes[rule] = ch
	}
	return ch
}

// Report returns the report, with the top clients that were denied most. The map has how many
// requests each rule applied to.
func (c *Collector) Report(log accesslog.Stats, applied map[string]int64, top int) *Report {
	r := c.report
	for name, n := range applied {
		if n > 0 {
			c.rule(name).Applied = n
		}
	}
	r.Log = Log{
		Lines: log.Lines, Unreadable: log.Unreadable, Late: log.Late, WholeSeconds: log.WholeSeconds,
		Timed: log.Timed, Formats: []string{}, First: append([]accesslog.BadLine{}, log.First...),
	}
	for _, f := range log.Formats {
		r.Log.Formats = append(r.Log.Formats, plain.Text(f, 200))
	}
	r.Clients.Total = int64(len(c.clients))
	for _, k := range c.clients {
		if k.denied > 0 {
			r.Clients.Denied++
		}
		if c.against != nil && k.denied > 0 && k.oldDenied == 0 {
			c.against.DeniedNow++
		}
		if c.against != nil && k.denied == 0 && k.oldDenied > 0 {
			c.against.AllowedNow++
		}
	}
	if r.Clients.Total > 0 {
		r.Clients.Share = float64(r.Clients.Denied) / float64(r.Clients.Total)
	}
	for _, name := range slices.Sorted(maps.Keys(c.rules)) {
		r.Rules = append(r.Rules, *c.rules[name])
	}
	slices.SortStableFunc(r.Rules, func(a, b Rule) int { return cmp.Compare(b.Denied+b.Dry, a.Denied+a.Dry) })
	r.Top = c.top(top, func(k *client) int64 { return k.denied })
	if c.against != nil {
		a := *c.against
		for _, name := range slices.Sorted(maps.Keys(c.changes)) {
			a.Rules = append(a.Rules, *c.changes[name])
		}
		a.Top = c.top(top, func(k *client) int64 { return k.newlyDenied })
		r.Against = &a
	}
	return &r
}

// top returns the clients with the greatest counts.
func (c *Collector) top(n int, count func(*client) int64) []Client {
	type counted struct {
		key ratelimit.Key
		n   int64
	}
	var most []counted
	more := func(a, b counted) int {
		return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.key.String(), b.key.String()))
	}
	for key, k := range c.clients {
		if one := (counted{key, count(k)}); one.n > 0 {
			most = append(most, one)
			if len(most) >= 4*n+64 {
				slices.SortFunc(most, more)
				most = most[:n]
			}
		}
	}
	slices.SortFunc(most, more)
	clients := []Client{}
	for _, one := range most[:min(n, len(most))] {
		k := c.clients[one.key]
		clients = append(clients, Client{
			Client: plain.Text(one.key.String(), 100), Requests: k.requests, Denied: one.n,
			Rules: k.detail.rules, First: k.detail.first.clean(), Last: k.detail.last.clean(),
		})
	}
	return clients
}

// clean returns l with texts that are safe to print.
func (l Line) clean() Line {
	l.File, l.Text = plain.Text(l.File, 200), plain.Text(l.Text, 240)
	return l
}
