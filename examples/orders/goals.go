package main

import (
	"fmt"
	"strings"
)

// goals returns a list of the goals that says which of them are met.
func (c *comparison) goals() string {
	worst, errors, over := 0.0, 0, 0
	var slow, weak []string
	for i, a := range attacks {
		under := func(s *side) phase { return s.outcomes[i].under }
		with := median(c, func(r round) float64 { return c.ratio(r.with, under) })
		worst = max(worst, with)
		if with > atMost {
			slow = append(slow, a.name)
		}
		if median(c, func(r round) float64 { return c.ratio(r.without, under) }) < tooWeak {
			weak = append(weak, a.name)
		}
		for _, r := range c.rounds {
			o := r.with.outcomes[i]
			over = max(over, o.did.wrong()-o.bound())
			errors += c.summary(o.under).errors + c.summary(o.calm).errors
		}
	}
	var b strings.Builder
	goal := func(met bool, format string, args ...any) {
		verdict := "missed"
		if met {
			verdict = "met"
		}
		_, _ = fmt.Fprintf(&b, "- %s: %s\n", fmt.Sprintf(format, args...), verdict)
	}
	goal(len(slow) == 0,
		"with limits, honest p99 under each attack is at most %.1f times the p99 in calm (worst %.1f%s)",
		atMost, worst, list(slow))
	goal(len(weak) == 0, "without limits, it is at least %d times the p99 in calm%s", tooWeak, list(weak))
	goal(errors == 0, "with limits, no honest request fails (%d, in all rounds)", errors)
	goal(over <= 0, "with limits, never more wrong passwords are checked than the limit allows, in any round")
	return b.String()
}

func list(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return "; not: " + strings.Join(names, ", ")
}
