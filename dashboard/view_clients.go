package dashboard

import (
	"strings"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/topk"
)

// clientsView is a list of the keys to which something has happened most often.
type clientsView struct {
	Title, Note, None string
	Since             string
	List              []clientView
}

type clientView struct {
	Who   who
	Rule  string
	Least string // how often, at least
	Most  string // and at most, if that is more
	Left  string // of the burst, in percent
}

func (p *Page) fillClients(v *view, now time.Time) {
	w := p.watch
	v.Denied = p.subjects(w.denied, now, clientsView{
		Title: "Denied most", None: "No request was denied.",
	})
	v.DryRun = p.subjects(w.dryRun, now, clientsView{
		Title: "Would be denied", Note: "by rules in dry-run mode",
		None: "No rule in dry-run mode would have denied a request.",
	})
	v.Near = p.subjects(w.near, now, clientsView{
		Title: "Near a limit", Note: "less than " + percent(w.nearShare) + " of the burst left",
		None: "No client is near a limit.",
	})
	for i := range v.Near.List {
		v.Near.List[i].Left += " %"
	}
	v.Asking = clientsView{Title: "Asking most", None: "No request was counted."}
	counts, since := w.asking.Top(2*maxClients, now)
	v.Asking.Since = clock(since)
	for i := range counts {
		if who := p.who(counts[i].Key); !strings.HasPrefix(who.Text, "global:") { // no client
			v.Asking.add(clientView{Who: who}, counts[i].Least(), counts[i].N)
		}
	}
}

// subjects fills in the list of v.
func (p *Page) subjects(from *topk.Window[subject], now time.Time, v clientsView) clientsView {
	counts, since := from.Top(2*maxClients, now)
	v.Since = clock(since)
	for i := range counts {
		c := &counts[i]
		one := clientView{Who: p.who(c.Key.key), Rule: c.Key.rule}
		if from == p.watch.near {
			one.Left = number(c.Last)
		}
		v.add(one, c.Least(), c.N)
	}
	return v
}

// add adds a client unless it may not have been there at all.
func (v *clientsView) add(c clientView, least, most int64) {
	if least <= 0 || len(v.List) == maxClients {
		return
	}
	c.Least = number(least)
	if most > least {
		c.Most = number(most)
	}
	v.List = append(v.List, c)
}
