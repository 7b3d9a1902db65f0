package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ratelimit-go/ratelimit"
)

// watchTime is the window over which latency and alerts are judged, the length of the calm before
// an attack, and the length of the attack.
const watchTime = 5 * time.Second

// notice says when each sign of one attack was there, counted from the start of the attack.
type notice struct {
	attack   *attack
	calm     time.Duration // the 99th percentile of honest requests before the attack
	near     moment        // NearLimit of a rule rises
	counted  moment        // DryRun of a rule rises
	page     moment        // the open page lists a client that would be denied
	alert    moment        // the condition of an alert is met
	doubled  moment        // the 99th percentile of honest requests has doubled
	worst    time.Duration // the 99th percentile of honest requests under the attack
	requests int
}

// moment is a time after the start of an attack. If it has not come, where is empty.
type moment struct {
	after time.Duration
	where string
}

func (m moment) came() bool { return m.where != "" }

// signals is the result of all attacks on a service that only watches.
type signals struct {
	size    size
	notices []*notice
	took    time.Duration
	note    string
}

// watchAll runs each attack on a new service whose rules are all in DryRun. So no attack meets
// counters that an earlier attack has moved.
func watchAll(ctx context.Context, out io.Writer, size size) (*signals, error) {
	if err := manyAddresses(); err != nil {
		return nil, err
	}
	s, start := &signals{size: size}, time.Now()
	for i, a := range attacks {
		n, err := a.watched(ctx, addresses{byte(i)}, size, watchTime)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", a.name, err)
		}
		s.notices = append(s.notices, n)
		_, _ = fmt.Fprintf(out, "%-24s  near limit %v, would-be denials %v, page %v, alert %v; "+
			"honest p99 doubled %v\n", a.name, n.near, n.counted, n.page, n.alert, n.doubled)
	}
	s.took = time.Since(start)
	return s, nil
}

// watched runs the attack against a new service, after honest clients were alone for a time.
func (a *attack) watched(
	ctx context.Context, from addresses, size size, window time.Duration,
) (*notice, error) {
	args := []string{"-dry-run"}
	if size.data == small.data {
		args = append(args, "-short")
	}
	server, err := startChild(ctx, args...)
	if err != nil {
		return nil, err
	}
	defer server.stop()
	people, hostile := newFleet(server.url), newFleet(server.url)
	defer people.close()
	defer hostile.close()
	crowd, err := signIn(ctx, people, size)
	if err != nil {
		return nil, err
	}
	shot, err := a.arm(ctx, hostile, from, size)
	if err != nil {
		return nil, err
	}
	page, err := openPage(ctx, server.page, a.signs)
	if err != nil {
		return nil, err
	}
	defer page.close()
	calm := crowd.visit(ctx, people, window)
	if row, _ := page.seen(); row != "" {
		return nil, fmt.Errorf("the page shows %q before the attack", row)
	}

	under, cancel := context.WithTimeout(ctx, window)
	defer cancel()
	flood, done := a.stream(shot, size), make(chan []sample, 1)
	start := time.Now()
	go func() { done <- flood.run(under, hostile, nil) }()
	felt := crowd.visit(under, people, window)
	end, sent := time.Now(), <-done
	n := &notice{attack: a, requests: len(sent)}
	n.calm, n.worst = summarizeTimes(calm.honest).p99, summarizeTimes(felt.honest).p99
	n.doubled = doubled(calm.honest, felt.honest, start, end, window)
	if row, at := page.seen(); row != "" {
		n.page = moment{at.Sub(start), row}
	}
	return n, n.judge(ctx, server, start, window)
}

// summarizeTimes is summarize for requests that were cut off when the attack ended.
func summarizeTimes(samples []sample) summary { return summarize(samples, 0) }

// judge fills in what the counters of the service have told.
func (n *notice) judge(ctx context.Context, server *child, start time.Time, window time.Duration) error {
	var readings []reading
	url := strings.TrimSuffix(server.counters, "/") + "/signals"
	if err := getJSON(ctx, url, &readings); err != nil {
		return err
	}
	n.near = rising(readings, n.attack.rules(), start, count.near)
	n.counted = rising(readings, n.attack.rules(), start, count.dryRun)
	n.alert = alert(readings, n.attack.rules(), start, window)
	return nil
}

// rules returns the rules that the attack meets, by its signs.
func (a *attack) rules() []string {
	var names []string
	for _, s := range a.signs {
		name, _, _ := strings.Cut(strings.TrimPrefix(s, "rule "), " ")
		names = append(names, name)
	}
	return names
}

// modeOf returns the mode of all rules.
func modeOf(limited, dryRun bool) ratelimit.Mode {
	switch {
	case dryRun:
		return ratelimit.DryRun
	case limited:
		return ratelimit.Enforce
	}
	return ratelimit.Off
}
