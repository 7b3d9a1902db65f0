package main

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// The goals. With limits, the 99th percentile of honest requests under attack is at most atMost
// times the percentile in calm. An attack that does not reach tooWeak times the calm without limits
// proves nothing.
const (
	atMost  = 1.5
	tooWeak = 5
)

const intro = `# An API under attack, without limits and with them

%s %s/%s, %d processors for clients and service together; %d users, %d items, %d orders;
%.0f honest requests per second; each attack lasts %v, after %v of calm,
and goes on until the honest requests that came meanwhile are answered.
` + "`go run . -rounds %d`" + ` took %v; the figures are medians of the rounds.%s

![latency of honest clients under each attack](%s)

`

// markdown returns the whole report. It shows the plot in the given file.
func (c *comparison) markdown(plot string) string {
	var b strings.Builder
	_, _ = fmt.Fprintf(&b, intro, runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(),
		c.size.data.users, c.size.data.items, c.size.data.orders, c.size.honest, c.size.attack, c.size.calm,
		len(c.rounds), c.took.Round(time.Second), c.remark(), filepath.Base(plot))
	b.WriteString(c.tables())
	b.WriteString("\n## The attacks\n\n")
	for _, a := range attacks {
		_, _ = fmt.Fprintf(&b, "- %s: %s; %.0f requests per second, at most %d at a time.\n",
			a.name, a.what, a.rate*c.size.strength, inFlight)
	}
	return b.String()
}

func (c *comparison) remark() string {
	if c.note == "" {
		return ""
	}
	return "\n" + c.note
}

// tables returns the part of the report that the program prints.
func (c *comparison) tables() string {
	return "## What honest clients felt\n\n" + c.felt() + fmt.Sprintf(`
A failed request counts as %v. Time counts from when a request was due, so it includes waiting for
other requests.
`, c.size.patience) + "\n## What the attacks achieved\n\n" + c.achieved() + `
The limit bounds the wrong passwords that are checked. It allows its burst, the burst again after each
login of the owner where that clears the limit, and the tokens that have flowed in.

## The goals

` + c.goals()
}

func (c *comparison) felt() string {
	var b strings.Builder
	header(&b, "attack", "p50 without", "with", "p99 without", "with", "p99 to calm, without", "with",
		"errors without", "with")
	c.row(&b, "none", func(s *side) phase { return s.calm() })
	for i, a := range attacks {
		c.row(&b, a.name, func(s *side) phase { return s.outcomes[i].under })
	}
	return b.String()
}

// header writes the head of a table. All columns but the first are numbers.
func header(b *strings.Builder, names ...string) {
	b.WriteString("| " + strings.Join(names, " | ") + " |\n")
	b.WriteString("| --- |" + strings.Repeat(" ---: |", len(names)-1) + "\n")
}

func (c *comparison) row(b *strings.Builder, name string, of func(*side) phase) {
	without := func(get func(summary) time.Duration) time.Duration {
		return short(median(c, func(r round) time.Duration { return get(c.summary(of(r.without))) }))
	}
	with := func(get func(summary) time.Duration) time.Duration {
		return short(median(c, func(r round) time.Duration { return get(c.summary(of(r.with))) }))
	}
	p50, p99 := func(s summary) time.Duration { return s.p50 }, func(s summary) time.Duration { return s.p99 }
	_, _ = fmt.Fprintf(b, "| %s | %v | %v | %v | %v | %.1f | %.1f | %d | %d |\n",
		name, without(p50), with(p50), without(p99), with(p99),
		median(c, func(r round) float64 { return c.ratio(r.without, of) }),
		median(c, func(r round) float64 { return c.ratio(r.with, of) }),
		median(c, func(r round) int { return c.summary(of(r.without)).errors }),
		median(c, func(r round) int { return c.summary(of(r.with)).errors }))
}

func (c *comparison) summary(p phase) summary { return summarize(p.honest, c.size.patience) }

// ratio returns the 99th percentile of a phase, divided by the percentile in calm.
func (c *comparison) ratio(s *side, of func(*side) phase) float64 {
	return float64(c.summary(of(s)).p99) / float64(max(c.summary(s.calm()).p99, 1))
}

func (c *comparison) achieved() string {
	var b strings.Builder
	header(&b, "attack", "requests sent without", "with", "reached the database without", "with",
		"passwords checked without", "with", "the limit allows", "accounts guessed without", "with",
		"rows scraped without", "with")
	for i, a := range attacks {
		without := func(get func(*outcome) int) int {
			return median(c, func(r round) int { return get(r.without.outcomes[i]) })
		}
		with := func(get func(*outcome) int) int {
			return median(c, func(r round) int { return get(r.with.outcomes[i]) })
		}
		_, _ = fmt.Fprintf(&b, "| %s |", a.name)
		for _, get := range []func(*outcome) int{
			func(o *outcome) int { return o.sent },
			func(o *outcome) int { return o.did.Database },
			func(o *outcome) int { return o.did.Passwords },
		} {
			_, _ = fmt.Fprintf(&b, " %d | %d |", without(get), with(get))
		}
		_, _ = fmt.Fprintf(&b, " %d |", with((*outcome).bound))
		for _, get := range []func(*outcome) int{
			func(o *outcome) int { return o.did.Guessed },
			func(o *outcome) int { return o.did.Rows },
		} {
			_, _ = fmt.Fprintf(&b, " %d | %d |", without(get), with(get))
		}
		b.WriteString("\n")
	}
	return b.String()
}
