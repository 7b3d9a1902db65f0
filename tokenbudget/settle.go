package tokenbudget

import (
	"context"
	"fmt"
	"net/http"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/store"
)

// Basis says by what a request was charged.
type Basis string

const (
	// ByUsage means the usage in the response.
	ByUsage Basis = "usage"
	// ByBytes means the usage as far as it came, and the output that was sent by its bytes, because
	// the client left during a stream.
	ByBytes Basis = "bytes"
	// ByReservation means the reservation, or the output that was sent if it is more, because the
	// usage is not known.
	ByReservation Basis = "reservation"
	// ByError means that a response with an error status costs nothing.
	ByError Basis = "error"
)

// Charge is what a request cost, for Config.Settled.
type Charge struct {
	// Model is the model of the request, as the client wrote it, or "" if it is not known.
	Model string
	// Reserved is the estimate, in tokens. Limits that hold less have reserved less.
	Reserved int64
	// Tokens is what the request was charged, in tokens.
	Tokens int64
	// Basis says why.
	Basis Basis
	// Usage is what the response says, as far as it came.
	Usage Usage
}

// charged is a Charge and how to apply it.
type charged struct {
	Charge

	atLeast bool // charge Tokens, or what a limit has reserved if it is more
}

// settle charges the request when its handler has returned or panicked.
func (g *Guard) settle(r *http.Request, ask asked, h *held, a *answer, returned bool) {
	s := a.end()
	if s.err != nil {
		g.reporter.Report(r.Context(), fmt.Errorf("tokenbudget: response: %w", s.err))
	}
	left := r.Context().Err() != nil
	c := g.charge(ask, s, outcome{status: a.status, left: left, returned: returned})
	g.apply(context.WithoutCancel(r.Context()), h, c)
	if c.atLeast {
		c.Tokens = max(c.Tokens, c.Reserved)
	}
	if g.cfg.Settled != nil {
		g.reporter.Call(r.Context(), "Settled", func() error { g.cfg.Settled(r, c.Charge); return nil })
	}
}

// outcome is how a request ended.
type outcome struct {
	status   int
	left     bool // the client has left
	returned bool // the handler has returned
}

// charge returns what the request costs.
func (g *Guard) charge(ask asked, s seen, o outcome) charged {
	usage := s.counted.usage()
	used := g.cost(usage)
	sent := used + max(max(g.tokens(s.text), s.events)-usage.Output, 0)
	if usage.Input+usage.CacheRead+usage.CacheWrite == 0 { // not told yet
		sent += ask.prompt
	}
	c := charged{Charge: Charge{Model: ask.model, Reserved: ask.total(), Usage: usage}}
	switch {
	case s.final:
		c.Tokens, c.Basis = used, ByUsage
	case o.left && !s.complete && s.events > 0: // of a stream, which is sent as it is made
		c.Tokens, c.Basis = sent, ByBytes
	case o.status >= http.StatusBadRequest && o.returned && !o.left: // else it may say so only
		c.Tokens, c.Basis = used, ByError
	case o.status == 0:
		c.atLeast, c.Basis = true, ByReservation
	default:
		c.Tokens, c.Basis, c.atLeast = sent, ByReservation, true
	}
	return c
}

// apply refunds or takes the difference between what is held and what is charged, in one step.
func (g *Guard) apply(ctx context.Context, h *held, c charged) {
	changes := make([]ratelimit.Change, 0, len(h.parts))
	for i := range h.parts {
		p := &h.parts[i]
		ch := ratelimit.Change{Kind: store.TakeUpTo, Rule: p.limit.name, Key: p.key}
		ch.Cost = c.Tokens - p.reserved
		if c.atLeast {
			ch.Cost = max(ch.Cost, p.asked-p.reserved)
		}
		if ch.Cost < 0 {
			ch.Kind, ch.Cost = store.Refund, -ch.Cost
		}
		if ch.Cost > 0 && (ch.Kind != store.Refund || p.refunds) {
			changes = append(changes, ch)
		}
	}
	if len(changes) == 0 {
		return
	}
	ds, err := g.limiter.Apply(ctx, changes...)
	for i := range ds {
		if ds[i].StoreErr != nil && err == nil {
			err = ds[i].StoreErr
		}
	}
	if err != nil {
		g.reporter.Report(ctx, fmt.Errorf("tokenbudget: a request is charged what it reserved: %w", err))
	}
}
