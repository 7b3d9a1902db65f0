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
// worst interval so far is the debt of a bucket that never denies. The clock of the store may have
// shown any time from the beginning of a call to its end. So an interval lasts from the beginning
// of its first call to the end of its last one.
type meter struct {
	c     *check
	limit *store.Limit
	owed  *big.Rat // the debt, if nothing of it had been paid since the case began
}

func newMeter(c *check, l *store.Limit) *meter {
	return &meter{c: c, limit: l, owed: new(big.Rat)}
}

// latest returns the latest time that the store's clock may show.
func (c *check) latest() time.Duration { return c.advanced + c.slack() }

// paid returns the tokens that come in a time.
func (m *meter) paid(d time.Duration) *big.Rat {
	rate := big.NewRat(m.limit.Count(), int64(m.limit.Period()))
	return rate.Mul(rate, whole(int64(d)))
}

// after returns what is owed after the last call, if it took n tokens.
func (m *meter) after(n int64) *big.Rat {
	owed := m.paid(m.c.asked)
	if owed.Cmp(m.owed) < 0 {
		owed.Set(m.owed)
	}
	return owed.Add(owed, whole(n))
}

// over returns by how much the n tokens of the last call are too many. It is not positive if they
// are not.
func (m *meter) over(n int64) *big.Rat {
	debt := m.after(n)
	debt.Sub(debt, m.paid(m.c.latest()+m.c.h.Resolution))
	return debt.Sub(debt, whole(m.limit.Burst()))
}

// add counts n tokens of the last call.
func (m *meter) add(n int64) { m.owed = m.after(n) }

func (m *meter) charge(what string, n int64) {
	m.c.Helper()
	if over := m.over(n); over.Sign() > 0 {
		m.c.fatalf("%s: the take of %d is %s tokens too many", what, n, over.FloatString(9))
	}
	m.add(n)
}
