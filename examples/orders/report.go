package main

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// What a comparison must show: the limits keep what honest clients feel within this many
// times what they feel in peace, and an attack that does not do this much harm without
// limits says nothing.
const (
	atMost   = 1.5
	tooWeak  = 5
	headings = `| attack | p50 without | with | p99 without | with | p99 to calm, without | with | errors without | with |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
`
	achieved = `| attack | requests sent without | with | reached the database without | with | passwords checked without | with | the limit admits | accounts guessed without | with | rows scraped without | with |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
`
)

// markdown is the whole report.
func (c *comparison) markdown(plot string) string {
	var b strings.Builder
	_, _ = fmt.Fprintf(&b, `# An API under attack, without limits and with them

%s %s/%s, %d processors for clients and service together; %d users, %d items, %d orders; %.0f honest requests
per second; each attack lasts %v, after %v of calm; `+"`go run .`"+` took %v.

![latency of honest clients under each attack](%s)

%s
## The attacks

`, runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), c.size.data.users, c.size.data.items,
		c.size.data.orders, c.size.honest, c.size.attack, c.size.calm, c.took.Round(time.Second), filepath.Base(plot), c.tables())
	for _, a := range attacks {
		_, _ = fmt.Fprintf(&b, "- %s: %s, up to %.0f requests per second, %d at a time.\n", a.name, a.what, a.rate*c.size.strength, inFlight)
	}
	return b.String()
}

// tables are what the program prints.
func (c *comparison) tables() string {
	return "## What honest clients felt\n\n" + c.felt() + fmt.Sprintf(`
A request that failed counts as one of %v. Time counts from when a request was due, so waiting for
others is in it.
`, c.size.patience) + "\n## What the attacks achieved\n\n" + c.achieved() + "\n## The goals\n\n" + c.goals()
}

func (c *comparison) felt() string {
	var b strings.Builder
	b.WriteString(headings)
	without, with := c.summary(c.without.calm()), c.summary(c.with.calm())
	_, _ = fmt.Fprintf(&b, "| none | %v | %v | %v | %v | | | %d | %d |\n", round(without.p50), round(with.p50),
		round(without.p99), round(with.p99), without.errors, with.errors)
	for i := range attacks {
		worse, better := c.summary(c.without.outcomes[i].under.honest), c.summary(c.with.outcomes[i].under.honest)
		_, _ = fmt.Fprintf(&b, "| %s | %v | %v | %v | %v | %.1f | %.1f | %d of %d | %d of %d |\n", attacks[i].name,
			round(worse.p50), round(better.p50), round(worse.p99), round(better.p99),
			ratio(worse, without), ratio(better, with), worse.errors, worse.sent, better.errors, better.sent)
	}
	return b.String()
}

func (c *comparison) achieved() string {
	var b strings.Builder
	b.WriteString(achieved)
	for i, a := range attacks {
		worse, better := c.without.outcomes[i], c.with.outcomes[i]
		_, _ = fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d | %d | %d | %d | %d | %d | %d |\n", a.name, worse.sent, better.sent,
			worse.did.Database, better.did.Database, worse.did.Passwords, better.did.Passwords, a.bound(better.lasted),
			worse.did.Guessed, better.did.Guessed, worse.did.Rows, better.did.Rows)
	}
	return b.String()
}

// goals says which of the goals the run has reached.
func (c *comparison) goals() string {
	var b strings.Builder
	calm, peace := c.summary(c.without.calm()), c.summary(c.with.calm())
	worst, errors, over := 0.0, peace.errors, 0
	var slow, weak []string
	for i, a := range attacks {
		worse, better := c.summary(c.without.outcomes[i].under.honest), c.summary(c.with.outcomes[i].under.honest)
		worst = max(worst, ratio(better, peace))
		errors += better.errors
		over = max(over, c.with.outcomes[i].did.wrong()-a.bound(c.with.outcomes[i].lasted))
		if ratio(better, peace) > atMost {
			slow = append(slow, a.name)
		}
		if ratio(worse, calm) < tooWeak {
			weak = append(weak, a.name)
		}
	}
	verdict := func(met bool) string {
		if met {
			return "met"
		}
		return "missed"
	}
	_, _ = fmt.Fprintf(&b, "- honest p99 under each attack with limits at most %.1f times that without attack: %s (worst %.1f)%s\n",
		atMost, verdict(len(slow) == 0), worst, list(slow))
	_, _ = fmt.Fprintf(&b, "- each attack makes it at least %d times worse without limits: %s%s\n", tooWeak, verdict(len(weak) == 0), list(weak))
	_, _ = fmt.Fprintf(&b, "- no honest request fails with limits: %s (%d failed)\n", verdict(errors == 0), errors)
	_, _ = fmt.Fprintf(&b, "- passwords checked never more than the limit admits: %s\n", verdict(over <= 0))
	return b.String()
}

func list(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return ": " + strings.Join(names, ", ")
}

func (c *comparison) summary(samples []sample) summary { return summarize(samples, c.size.patience) }

func ratio(a, b summary) float64 { return float64(a.p99) / float64(max(b.p99, 1)) }
