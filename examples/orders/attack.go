package main

import (
	"context"
	"net/netip"
	"time"

	"github.com/ratelimit-go/ratelimit"
)

// attack is one kind of abuse.
type attack struct {
	name string
	what string // the requests, in words
	rate float64
	// arm prepares the attack from addresses of its own. The requests it returns
	// are different ones for each i.
	arm func(ctx context.Context, f *fleet, from addresses, size size) (func(i int) shot, error)
	// limit is the one that bounds how many passwords are checked, "" if none are to be.
	limit string
	// victim is the customer whose own successful login fills the limit again, 0 if there
	// is none.
	victim int
}

// inFlight is how many requests an attack has under way at most: attackers have a
// bounded number of connections too.
const inFlight = 128

// stream goes on for longer than the attack lasts, until it is stopped.
func (a *attack) stream(shot func(int) shot, size size) *stream {
	rate := a.rate * size.strength
	return &stream{
		rate: rate, count: int(rate * (size.attack + size.after).Seconds()), enough: int(rate * size.attack.Seconds()),
		started: make(chan struct{}), inFlight: inFlight, patience: size.patience, shot: shot,
	}
}

// bound is how many wrong passwords a limit admits in a time: its burst, as often as it
// has been filled, and what flows in.
func (a *attack) bound(t time.Duration, fills int) int {
	if a.limit == "" {
		return 0
	}
	l := ratelimit.MustParse(a.limit)[0]
	burst := l.Burst
	if burst == 0 {
		burst = l.Count
	}
	return (1+fills)*int(burst) + int(int64(t)*l.Count/int64(l.Period))
}

// addresses are those of one attack, in a network of its own.
type addresses struct{ network byte }

func (a addresses) at(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{127, 64 + a.network, byte(i >> 8), byte(i)})
}

// attacks are those that the API of the README meets.
var attacks = []*attack{bruteForce, bruteForceMany, spraying, stuffing, expensive, scraping, webhookFlood, adminProbing}
