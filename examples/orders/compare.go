package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"time"
)

// outcome is one attack on one service.
type outcome struct {
	attack *attack
	calm   phase         // before it
	under  phase         // while it lasted
	sent   int           // requests of the attack
	lasted time.Duration // between the two looks at the counters
	did    tally         // what the attack achieved
}

// phase is a time with the honest requests that were due in it.
type phase struct {
	from   time.Time
	honest []sample
}

// side is one service under all attacks.
type side struct {
	limited  bool
	outcomes []*outcome
}

// calm is what honest clients felt while there was no attack.
func (s *side) calm() []sample {
	var all []sample
	for _, o := range s.outcomes {
		all = append(all, o.calm.honest...)
	}
	return all
}

// comparison is the service without limits and with them.
type comparison struct {
	size          size
	without, with *side
	took          time.Duration
}

func compare(ctx context.Context, out io.Writer, size size) (*comparison, error) {
	if err := manyAddresses(); err != nil {
		return nil, err
	}
	c, start := &comparison{size: size}, time.Now()
	var err error
	if c.without, err = runSide(ctx, out, size, false); err != nil {
		return nil, err
	}
	if c.with, err = runSide(ctx, out, size, true); err != nil {
		return nil, err
	}
	c.took = time.Since(start)
	return c, nil
}

// manyAddresses fails where the loopback has one address only.
func manyAddresses() error {
	l, err := net.Listen("tcp", "127.64.0.1:0")
	if err != nil {
		return fmt.Errorf("each client needs an address in 127.0.0.0/8, as on Linux: %w", err)
	}
	return l.Close()
}

func runSide(ctx context.Context, out io.Writer, size size, limited bool) (*side, error) {
	args := []string{fmt.Sprintf("-limits=%t", limited)}
	if size == small {
		args = append(args, "-short")
	}
	server, err := startChild(ctx, args...)
	if err != nil {
		return nil, err
	}
	defer server.stop()
	people := newFleet(server.url)
	defer people.close()
	crowd, err := signIn(ctx, people, size)
	if err != nil {
		return nil, err
	}
	s := &side{limited: limited}
	for i, a := range attacks {
		calm := crowd.visit(ctx, people, size.calm)
		o, err := underAttack(ctx, server, people, crowd, a, addresses{byte(i)})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", a.name, err)
		}
		o.calm = calm
		s.outcomes = append(s.outcomes, o)
		o.progress(out, limited, size.patience)
	}
	return s, nil
}

// underAttack sends the honest requests and those of the attack at the same time.
func underAttack(ctx context.Context, server *child, people *fleet, c *crowd, a *attack, from addresses) (*outcome, error) {
	thugs := newFleet(server.url)
	defer thugs.close()
	shot, err := a.arm(ctx, thugs, from, c.size)
	if err != nil {
		return nil, err
	}
	before, err := server.read(ctx)
	if err != nil {
		return nil, err
	}
	o, start := &outcome{attack: a}, time.Now()
	attack, cancel := context.WithCancel(ctx)
	defer cancel()
	flood, done := a.stream(shot, c.size), make(chan []sample, 1)
	go func() { done <- flood.run(attack, thugs) }()
	o.under = c.visit(ctx, people, c.size.attack)
	select {
	case <-flood.started:
	case <-ctx.Done():
	}
	cancel() // not before the last honest request is answered
	o.sent = len(<-done)
	after, err := server.settle(ctx)
	if err != nil {
		return nil, err
	}
	o.lasted = time.Since(start)
	o.did = after.Attack.minus(before.Attack)
	return o, ctx.Err()
}

func (o *outcome) progress(out io.Writer, limited bool, patience time.Duration) {
	how := "without limits"
	if limited {
		how = "with limits   "
	}
	sum := summarize(o.under.honest, patience)
	_, _ = fmt.Fprintf(out, "%s  %-24s  honest: p50 %7v, p99 %7v, %3d errors; attack: %4d requests, %4d reached the database\n",
		how, o.attack.name, round(sum.p50), round(sum.p99), sum.errors, o.sent, o.did.Database)
}

// summary is what honest clients felt.
type summary struct {
	p50, p99 time.Duration
	sent     int
	errors   int
}

// summarize counts a request that failed as one that took at least patience.
func summarize(samples []sample, patience time.Duration) summary {
	sum := summary{sent: len(samples)}
	if sum.sent == 0 {
		return sum
	}
	times := make([]time.Duration, len(samples))
	for i, s := range samples {
		times[i] = s.took
		if s.failed {
			sum.errors++
			times[i] = max(s.took, patience)
		}
	}
	slices.Sort(times)
	sum.p50, sum.p99 = percentile(times, 50), percentile(times, 99)
	return sum
}

// percentile is by nearest rank.
func percentile(sorted []time.Duration, p int) time.Duration {
	return sorted[(len(sorted)*p+99)/100-1]
}

func round(d time.Duration) time.Duration {
	if d > time.Second {
		return d.Round(10 * time.Millisecond)
	}
	return d.Round(100 * time.Microsecond)
}
