package storetest

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"time"

	"github.com/ratelimit-go/ratelimit/store"
)

// withinRate counts what a greedy client gets. It looks at no other answer.
func withinRate(c *check) {
	for i, n := range randomLimits() {
		c.restart()
		rnd := rand.New(rand.NewPCG(uint64(i), 1))
		l := c.limit("r", i, n)
		m := newMeter(c, l)
		patience := float64(timeOf(l, 1))
		if !c.exact() {
			patience = min(patience, float64(c.unit()/20))
		} else {
			patience = min(patience, float64(7*24*time.Hour)) // of 100 steps for each limit
		}
		for step := range c.steps(300) {
			op := take(l, user("a"), 1+rnd.Int64N(3))
			if rnd.IntN(4) == 0 {
				op.Cost = rnd.Int64N(l.Burst() + 1)
			}
			if c.one(op).Allowed {
				m.charge(fmt.Sprintf("%v, step %d", n, step), op.Cost)
			}
			if rnd.IntN(2) == 0 {
				c.advance(time.Duration(rnd.Float64() * 2 * patience))
			}
		}
	}
}

// A meter checks allowed takes against one limit, over all intervals at once: the excess over the
// worst interval so far is the debt of a bucket that never denies.
type meter struct {
	c     *check
	limit *store.Limit
	debt  *big.Rat
	at    time.Duration
}

func newMeter(c *check, l *store.Limit) *meter {
	return &meter{c: c, limit: l, debt: new(big.Rat), at: c.latest()}
}

// latest returns the latest time that the store's clock may show.
func (c *check) latest() time.Duration { return c.advanced + c.slack() }

// pass lets the meter pay for the time that has passed.
func (m *meter) pass() (rate *big.Rat) {
	now := m.c.latest()
	rate = big.NewRat(m.limit.Count(), int64(m.limit.Period()))
	paid := new(big.Rat).Mul(rate, whole(int64(now-m.at)))
	m.at = now
	if m.debt.Sub(m.debt, paid); m.debt.Sign() < 0 {
		m.debt.SetInt64(0)
	}
	return rate
}

// over returns by how much n tokens more would be too many. It is not positive if they are not.
func (m *meter) over(n int64) *big.Rat {
	blur := new(big.Rat).Mul(m.pass(), whole(int64(m.c.h.Resolution)))
	over := new(big.Rat).Sub(m.debt, whole(m.limit.Burst()-n))
	return over.Sub(over, blur)
}

// add counts n tokens.
func (m *meter) add(n int64) {
	m.pass()
	m.debt.Add(m.debt, whole(n))
}

func (m *meter) charge(what string, n int64) {
	m.c.Helper()
	if over := m.over(n); over.Sign() > 0 {
		m.c.fatalf("%s: the take of %d is %s tokens too many", what, n, over.FloatString(9))
	}
	m.add(n)
}
