package main

import (
	"slices"
	"time"
)

// rising returns when a counter of one of the rules first grew by more in one second than in any
// second before the attack began at start.
func rising(readings []reading, rules []string, start time.Time, of func(count) int64) moment {
	before := readings[:since(readings, start)]
	most := map[string]int64{}
	for i := range before {
		for _, rule := range rules {
			most[rule] = max(most[rule], growth(before, i, rule, time.Second, of))
		}
	}
	return first(readings, rules, start, func(i int, rule string) bool {
		return growth(readings, i, rule, time.Second, of) > most[rule]
	})
}

// alert returns when the condition of an alert was first met. The conditions are as in
// alerts.yaml of metrics/promlimit, with a window of seconds instead of minutes. More than a
// twentieth of the allowed requests left little, and at most half as many did before the attack. Or
// more than one request per second would have been denied, and more than three times as many as
// before.
func alert(readings []reading, rules []string, start time.Time, window time.Duration) moment {
	last := since(readings, start) - 1
	grown := func(i int, rule string, of func(count) int64) float64 {
		return float64(growth(readings, i, rule, window, of))
	}
	share := func(i int, rule string) float64 {
		return grown(i, rule, count.near) / max(1, grown(i, rule, count.allowed))
	}
	denials := func(i int, rule string) float64 { return grown(i, rule, count.dryRun) / window.Seconds() }
	return first(readings, rules, start, func(i int, rule string) bool {
		return share(i, rule) > max(0.05, 2*share(last, rule)) ||
			denials(i, rule) > max(1, 3*denials(last, rule))
	})
}

// first returns the first reading from start on for which is returns true.
func first(readings []reading, rules []string, start time.Time, is func(i int, rule string) bool) moment {
	for i := since(readings, start); i < len(readings); i++ {
		for _, rule := range rules {
			if is(i, rule) {
				return moment{readings[i].At.Sub(start), rule}
			}
		}
	}
	return moment{}
}

// since returns the number of the first reading that was not taken before t.
func since(readings []reading, t time.Time) int {
	i, _ := slices.BinarySearchFunc(readings, t, func(r reading, t time.Time) int { return r.At.Compare(t) })
	return i
}

// growth returns how much a counter has grown in the window that ends with reading number i.
func growth(readings []reading, i int, rule string, window time.Duration, of func(count) int64) int64 {
	if i < 0 {
		return 0
	}
	from := min(since(readings, readings[i].At.Add(-window)), i)
	return of(readings[i].Rules[rule]) - of(readings[from].Rules[rule])
}

// doubled returns when the 99th percentile of honest requests was first at least twice as high as
// in the calm. It looks at the requests of the window before each moment. A request that was not
// answered by then counts with the time that its client had waited.
func doubled(calm, under []sample, start, end time.Time, window time.Duration) moment {
	all := slices.Concat(calm, under)
	level := summarizeTimes(calm).p99
	for now := start; now.Before(end); now = now.Add(10 * time.Millisecond) {
		var felt []sample
		for _, s := range all {
			if age := now.Sub(s.due); age >= 0 && age < window {
				felt = append(felt, sample{took: min(s.took, age)})
			}
		}
		if summarizeTimes(felt).p99 >= 2*level && level > 0 {
			return moment{now.Sub(start), "honest p99"}
		}
	}
	return moment{}
}
