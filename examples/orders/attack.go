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
	// arm prepares the attack. It returns a function that returns request number i.
	arm func(ctx context.Context, f *fleet, from addresses, size size) (func(i int) shot, error)
	// limit bounds how many wrong passwords are checked. Empty means that none may be checked.
	limit string
	// victim is the number of the customer whose own successful login clears the limit. Zero means
	// that no login clears it.
	victim int
	// signs are rows that only this attack puts on the page: a rule and the beginning of a key that
	// the rule would deny, or "rule" and a rule that has no key.
	signs []string
}

// inFlight is how many requests an attack has in flight at most. The connections of attackers are
// bounded too.
const inFlight = 128

// stream returns the requests of the attack. There are enough of them to go on for a time after the
// attack, until the caller stops the stream.
func (a *attack) stream(shot func(int) shot, size size) *stream {
	rate := a.rate * size.strength
	return &stream{
		rate:  rate,
		count: int(rate * (size.attack + size.after).Seconds()), enough: int(rate * size.attack.Seconds()),
		started: make(chan struct{}), inFlight: inFlight, patience: size.patience, shot: shot,
	}
}

// bound returns how many wrong passwords the limit allows in the time t: its burst, the burst again
// for each time that a login has cleared it, and the tokens that flow in.
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

// addresses are the addresses of one attack. Each attack has a network of its own.
type addresses struct{ network byte }

func (a addresses) at(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{127, 64 + a.network, byte(i >> 8), byte(i)})
}

// attacks are all attacks, in the order in which they run.
var attacks = []*attack{
	bruteForce, bruteForceMany, spraying, stuffing, expensive, scraping, webhookFlood, adminProbing,
}
