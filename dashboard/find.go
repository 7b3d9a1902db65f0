package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/stats"
	"github.com/ratelimit-go/ratelimit/support"
)

// searchTime bounds a search among all rules.
const searchTime = 5 * time.Second

// findForm is what a user searches for.
type findForm struct{ Kind, Name, Text string }

// findResult is what is known of a key.
type findResult struct {
	Who     who
	Used    []standing // rules under which the key has spent something, or is blocked
	Full    []standing // the other rules
	Skipped int        // rules that were not looked up
	Err     string
}

// standing is how a key stands with a rule.
type standing struct {
	Rule, Limit, Mode string
	Left, Burst       string
	Share             int64 // of the burst that is left, in percent
	Full, Wait        string
	CanBlock, Blocked bool
	Until, BlockLeft  string
	Note              string
	Class             string
}

// key returns the key that the form describes.
func (f *findForm) key(limiter *ratelimit.Limiter) (k ratelimit.Key, err error) {
	text := strings.TrimSpace(f.Text)
	if text == "" {
		return k, errors.New("type what to look for")
	}
	switch f.Kind {
	case "user":
		return ratelimit.UserKey(text), nil
	case "addr":
		addr, err := netip.ParseAddr(text)
		if err != nil {
			return k, notAnAddress(text)
		}
		return support.AddrKey(limiter, addr), nil
	case "header", "cookie", "value":
		name := strings.TrimSpace(f.Name)
		if name == "" {
			return k, errors.New("type the name of the header field, the cookie or the value too")
		}
		if k, err = named(f.Kind, name, text); err != nil {
			err = fmt.Errorf("%s with this value is no %s that a request can have", quoted(name), f.Kind)
		}
		return k, err
	}
	if k, err = ratelimit.ParseKey(text); err != nil {
		return k, fmt.Errorf("%w. Write a key as the page shows it, such as user:alice", err)
	}
	return k, nil
}

// named returns the key of a value that has a name.
func named(kind, name, text string) (ratelimit.Key, error) {
	switch kind {
	case "header":
		return support.HeaderKey(name, text)
	case "cookie":
		return support.CookieKey(name, text)
	}
	return ratelimit.ValueKey(name, text), nil
}

func notAnAddress(text string) error {
	return fmt.Errorf("%s is no address, such as 192.0.2.1 or 2001:db8::1", quoted(text))
}

// quoted returns text for an error.
func quoted(text string) string { return "“" + clean(text, 80) + "”" }

// serveFind shows how a key stands with each rule. A search is a POST, so that identities do not
// get into logs of URLs.
func (p *Page) serveFind(w http.ResponseWriter, r *http.Request) {
	l := p.layout("Find a client")
	l.Act = p.mayAct(r)
	l.Find = findForm{r.PostFormValue("kind"), r.PostFormValue("name"), r.PostFormValue("text")}
	l.Result = new(findResult)
	status := http.StatusOK
	if k, err := l.Find.key(p.limiter); err != nil {
		l.Result.Err, status = clean(err.Error(), 300), http.StatusBadRequest
	} else if k.IsZero() {
		l.Result.Err, status = "this text is no key", http.StatusBadRequest
	} else {
		l.Result = p.find(r.Context(), k)
	}
	write(w, status, "find", l)
}

// find looks k up under every rule.
func (p *Page) find(ctx context.Context, k ratelimit.Key) *findResult {
	ctx, cancel := context.WithTimeout(ctx, searchTime)
	defer cancel()
	result := &findResult{Who: p.who(k)}
	for _, found := range support.Find(ctx, p.limiter, k) {
		if errors.Is(found.Err, context.DeadlineExceeded) {
			result.Skipped++
			continue
		}
		s := p.standingOf(&found)
		if found.Blocked.Rule != "" {
			s.block(found.Blocked, time.Now())
		}
		if s.Class == "" {
			result.Full = append(result.Full, s)
		} else {
			result.Used = append(result.Used, s)
		}
	}
	return result
}

// rule returns what the limiter says of the named rule or budget, if any.
func (p *Page) rule(name string) (stats.Rule, bool) {
	rules := p.limiter.Stats().Rules
	i := slices.IndexFunc(rules, func(r stats.Rule) bool { return r.Name == name })
	if i < 0 {
		return stats.Rule{}, false
	}
	return rules[i], true
}

// standingOf returns how a key stands, without its block. Class is empty if nothing is spent.
func (p *Page) standingOf(found *support.Standing) standing {
	d := &found.Decision
	s := standing{Rule: found.Rule, Mode: string(d.Mode), CanBlock: found.CanBlock}
	switch {
	case found.Err != nil:
		s.Note, s.Class = clean(found.Err.Error(), 200), "warn"
		return s
	case d.StoreErr != nil && !d.Local:
		s.Note, s.Class = "unknown: the store has failed", "warn"
		return s
	case found.MaxInFlight > 0:
		s.places(found.InFlight, found.MaxInFlight)
		return s
	case d.Local:
		s.Note, s.Class = "counted in the memory of this instance, because the store has failed", "warn"
	}
	b := burst(d.Limit)
	if b == 0 {
		return s // the key has no limit
	}
	s.Limit, s.Left, s.Burst = d.Limit.String(), number(d.Remaining), number(b)
	s.Share = min(100*d.Remaining/b, 100)
	if d.Remaining < b {
		s.Class, s.Full = "info", length(d.ResetAfter)
	}
	switch {
	case d.RetryAfter > 0:
		s.Class, s.Wait = "bad", length(d.RetryAfter)
	case p.watch.nearLimit(d):
		s.Class = "warn"
	}
	return s
}

// places shows how many places of a rule that bounds requests in flight are in use.
func (s *standing) places(used, most int64) {
	s.Limit = number(most) + " in flight"
	s.Left, s.Burst, s.Share = number(most-used), number(most), 100*(most-used)/most
	switch {
	case used == most:
		s.Class, s.Note = "bad", "denied until a request ends"
	case used > 0:
		s.Class = "info"
	}
}

// block adds a block.
func (s *standing) block(b ratelimit.Blocked, now time.Time) {
	s.Blocked, s.Class, s.Wait = true, "bad", ""
	s.Until, s.BlockLeft = day(b.Until), length(b.Until.Sub(now))
}
