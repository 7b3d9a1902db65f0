package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"
)

// outcome is the result of one attack on one service.
type outcome struct {
	attack *attack
	calm   phase         // before the attack
	under  phase         // during the attack
	sent   int           // requests of the attack
	lasted time.Duration // between the two readings of the counters
	fills  int           // how often the victim has logged in meanwhile
	did    tally         // what the attack achieved
}

// phase is a time, with the honest requests that were due in it.
type phase struct {
	from   time.Time
	honest []sample
}

// side is one service under all attacks.
type side struct {
	limited  bool
	outcomes []*outcome
}

// calm returns all phases before the attacks as one.
func (s *side) calm() phase {
	var all phase
	for _, o := range s.outcomes {
		all.honest = append(all.honest, o.calm.honest...)
	}
	return all
}

// round is the service without limits and with them, one after the other.
type round struct{ without, with *side }

// comparison is the result of a run of the program.
type comparison struct {
	size   size
	rounds []round
	took   time.Duration
	note   string // for the report
}

func compare(ctx context.Context, out io.Writer, size size, rounds int) (*comparison, error) {
	if err := manyAddresses(); err != nil {
		return nil, err
	}
	c, start := &comparison{size: size}, time.Now()
	for range rounds {
		without, err := runSide(ctx, out, size, false)
		if err != nil {
			return nil, err
		}
		with, err := runSide(ctx, out, size, true)
		if err != nil {
			return nil, err
		}
		c.rounds = append(c.rounds, round{without, with})
	}
	c.took = time.Since(start)
	return c, nil
}

// manyAddresses returns an error if the loopback has only one address.
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
	if server.page != "" {
		_, _ = fmt.Fprintf(out, "live page of the limits: %s (user %q, password %q)\n",
			server.page, adminName, adminPassword)
	}
	f := newFleet(server.url)
	defer f.close()
	crowd, err := signIn(ctx, f, size)
	if err != nil {
		return nil, err
	}
	shots := make([]func(int) shot, len(attacks))
	for i, a := range attacks {
		if shots[i], err = a.arm(ctx, f, addresses{byte(i)}, size); err != nil {
			return nil, fmt.Errorf("%s: %w", a.name, err)
		}
	}
	s := &side{limited: limited}
	for i, a := range attacks {
		o := &outcome{attack: a, calm: crowd.visit(ctx, f, size.calm)}
		if err := o.take(ctx, server, f, crowd, a.stream(shots[i], size)); err != nil {
			return nil, fmt.Errorf("%s: %w", a.name, err)
		}
		s.outcomes = append(s.outcomes, o)
		o.progress(out, limited, size.patience)
	}
	return s, nil
}

// take sends the honest requests and the requests of the attack at the same time.
func (o *outcome) take(ctx context.Context, server *child, people *fleet, c *crowd, flood *stream) error {
	hostile := newFleet(server.url)
	defer hostile.close()
	before, err := server.read(ctx)
	if err != nil {
		return err
	}
	logins, start := c.success[o.attack.victim], time.Now()
	stop, done := make(chan struct{}), make(chan []sample, 1)
	go func() { done <- flood.run(ctx, hostile, stop) }()
	o.under = c.visit(ctx, people, c.size.attack)
	select {
	case <-flood.started:
	case <-ctx.Done():
	}
	close(stop) // the last honest request is answered
	o.sent = len(<-done)
	after, err := server.settle(ctx)
	if err != nil {
		return err
	}
	o.did, o.lasted = after.Attack.minus(before.Attack), time.Since(start)
	if o.attack.victim != 0 {
		o.fills = c.success[o.attack.victim] - logins
	}
	return ctx.Err()
}

// bound returns how many wrong passwords the limits may have allowed.
func (o *outcome) bound() int { return o.attack.bound(o.lasted, o.fills) }

func (o *outcome) progress(out io.Writer, limited bool, patience time.Duration) {
	how := "without limits"
	if limited {
		how = "with limits   "
	}
	sum := summarize(o.under.honest, patience)
	_, _ = fmt.Fprintf(out, "%s  %-24s  honest: p50 %7v, p99 %7v, %3d errors; "+
		"attack: %4d requests, %4d reached the database\n",
		how, o.attack.name, short(sum.p50), short(sum.p99), sum.errors, o.sent, o.did.Database)
}
