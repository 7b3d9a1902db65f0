package main

import (
	"fmt"
	"runtime"
	"strings"
	"time"
)

// noticeTime is how soon a signal and the page must tell of an attack.
const noticeTime = 2 * time.Second

const signalsIntro = `# When an attack becomes visible

Each attack runs against a new service that denies nothing: all rules are in DryRun. Times are
seconds after the start of the attack, on %s %s/%s with %d processors for clients and service together.
%.0f honest requests per second run alone for %v, then the attack joins them for %v.
` + "`go run . -signals`" + ` took %v.%s

## What tells of it, and when

`

const signalsOutro = `
- Near limit: ` + "`NearLimit`" + ` of a rule grows by more in one second than in any second of the calm.
- Would-be denials: ` + "`DryRun`" + ` of a rule does. Both are read from ` + "`Limiter.Stats`" + ` each %v.
- Page: a message to an open page lists the attacker, or what it attacks, under "Would be denied". A
  rule without keys is in the table of rules. The page is open before the attack.
- Alert: the condition of RateLimitNearLimitRising, or of RateLimitDenialsSpike for would-be denials,
  over %v instead of 5 minutes. Prometheus adds its scrape interval and the time that alerts wait.
- Honest p99 doubled: over the last %[2]v, p99 is twice the p99 of the calm. A request that waits
  counts with the time that it has waited so far.

Why a signal can be late:

- A limit must be used up first. The total of logins takes 15 failures, and 250 guesses per second
  need 60 ms for that. If the calm is fast, honest clients feel the first queue as early.
- A rule that denies for lack of a key has no limit to come near. Its would-be denials are counted,
  and wake an open page.
- An open page is woken at once when would-be denials or clients near a limit begin to rise under a
  rule. If four have just woken it, it shows the next one with its message of each second.
- Counters are read ten times per second. So the page is sometimes sooner.
- On busy processors a step of a page can wait for its turn, as each request does.

## What was seen

`

func (m moment) String() string {
	if !m.came() {
		return "never"
	}
	return fmt.Sprintf("%.2f", m.after.Seconds())
}

// markdown returns the report.
func (s *signals) markdown() string {
	var b strings.Builder
	note := s.note
	if note != "" {
		note = "\n" + note
	}
	_, _ = fmt.Fprintf(&b, signalsIntro, runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(),
		s.size.honest, watchTime, watchTime, s.took.Round(time.Second), note)
	b.WriteString(s.table())
	_, _ = fmt.Fprintf(&b, signalsOutro, sampleTime, watchTime)
	for _, n := range s.notices {
		_, _ = fmt.Fprintf(&b, "- %s: near limit of %s; would be denied by %s; on the page `%s`.\n",
			n.attack.name, orNone(n.near.where), orNone(n.counted.where), orNone(n.page.where))
	}
	b.WriteString("\n## The goals\n\n" + s.goals())
	return b.String()
}

func orNone(name string) string {
	if name == "" {
		return "none"
	}
	return strings.TrimSpace(name)
}

func (s *signals) table() string {
	var b strings.Builder
	header(&b, "attack", "near limit", "would-be denials", "page", "alert", "honest p99 doubled",
		"p99 in calm", "p99 under attack", "requests of the attack")
	for _, n := range s.notices {
		_, _ = fmt.Fprintf(&b, "| %s | %v | %v | %v | %v | %v | %v | %v | %d |\n",
			n.attack.name, n.near, n.counted, n.page, n.alert, n.doubled,
			short(n.calm), short(n.worst), n.requests)
	}
	return b.String()
}

// goals returns a list of the goals that says which of them are met.
func (s *signals) goals() string {
	var b strings.Builder
	goal := func(text string, met func(*notice) bool) {
		var missed []string
		for _, n := range s.notices {
			if !met(n) {
				missed = append(missed, n.attack.name)
			}
		}
		verdict := "met"
		if len(missed) > 0 {
			verdict = "missed by " + strings.Join(missed, "; ")
		}
		_, _ = fmt.Fprintf(&b, "- %s: %s\n", text, verdict)
	}
	soon := func(m moment) bool { return m.came() && m.after <= noticeTime }
	goal(fmt.Sprintf("a counter, near limit or would-be denials, rises within %v", noticeTime),
		func(n *notice) bool { return soon(n.signal()) })
	goal(fmt.Sprintf("the page shows it within %v", noticeTime), func(n *notice) bool { return soon(n.page) })
	goal("a counter rises before honest p99 has doubled",
		func(n *notice) bool { return n.signal().before(n.doubled) })
	goal("the page shows it before honest p99 has doubled",
		func(n *notice) bool { return n.page.before(n.doubled) })
	return b.String()
}

// signal returns when the first of both counters rose.
func (n *notice) signal() moment {
	if n.near.before(n.counted) {
		return n.near
	}
	return n.counted
}

// before reports whether m has come, and not after other.
func (m moment) before(other moment) bool {
	return m.came() && (!other.came() || m.after <= other.after)
}
