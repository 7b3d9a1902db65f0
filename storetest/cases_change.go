package storetest

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ratelimit-go/ratelimit"
)

// The contract leaves open at what rate old debts are paid once numbers have changed,
// and whether a debt of more than a lowered burst is cut for good. So these cases
// compare levels only at the instant of a change, and believe what a store says of waits.
func changeCases() []testCase {
	const stays = "If the numbers of a limit change, what its keys have already spent stays spent (in tokens, at most the new burst)."
	return []testCase{
		{"what was spent stays spent", stays, spentStaysSpent},
		{"what was spent stays spent for each key", stays, spentStaysSpentByKey},
		{"a change and back", stays, changeAndBack},
		{"waits after a change are true", "RetryAfter is the shortest time after which the same op would be allowed.", waitsAfterChange},
		{"changes mint nothing", stays, changesMintNothing},
	}
}

func spentStaysSpent(c *check) {
	for i, tc := range []struct {
		name, before, after string
		spent, left         int64
	}{
		{"the same", "10 per hour", "10 per hour", 6, 4},
		{"more", "10 per hour", "20 per hour", 6, 14},
		{"more, from empty", "10 per hour", "20 per hour", 10, 10},
		{"less", "10 per hour", "8 per hour", 6, 2},
		{"less than was spent", "10 per hour", "4 per hour", 6, 0},
		{"just what was spent", "10 per hour", "6 per hour", 6, 0},
		{"one token only", "10 per hour", "1 per hour", 10, 0},
		{"one token only, from full", "10 per hour", "1 per hour", 0, 1},
		{"slower", "10 per hour", "10 per day", 6, 4},
		{"much slower", "10 per hour", "1 per year burst 10", 6, 4},
		{"faster", "10 per day", "10 per hour", 6, 4},
		{"the same in other words", "10 per hour", "20 per 2 hours burst 10", 6, 4},
		{"uneven", "7 per hour", "11 per 3 hours burst 13", 5, 8},
		{"uneven and slower", "11 per 3 hours burst 13", "7 per 13 hours burst 9", 5, 4},
		{"a larger burst", "10 per hour", "10 per hour burst 100", 6, 94},
		{"a smaller burst", "10 per hour burst 100", "10 per hour", 95, 0},
		{"both", "10 per hour", "1000 per 7 days burst 50", 7, 43},
	} {
		before, after := c.named("r", i, tc.before), c.named("r", i, tc.after)
		what := fmt.Sprintf("%s: from %v to %v with %d spent", tc.name, before.Limit(), after.Limit(), tc.spent)
		c.restart()
		for _, id := range []string{"peek", "take", "refuse"} {
			c.apply(take(before, user(id), tc.spent))
		}
		c.wantLeft(what, after, c.one(peek(after, user("peek"), 0)), tc.left)
		c.wantLeft(what+", a take of all that is left", after, c.one(take(after, user("take"), tc.left)), 0)
		if r := c.one(take(after, user("refuse"), tc.left+1)); r.Allowed {
			c.fatalf("%s: a take of %d was allowed", what, tc.left+1)
		}
		c.wantLeft(what+", after a refusal", after, c.one(peek(after, user("refuse"), 0)), tc.left)
	}
}

func (c *check) wantLeft(what string, l *ratelimit.NamedLimit, r ratelimit.Result, left int64) {
	c.Helper()
	c.wantAllowed(what, r)
	c.wantRemaining(what, l, r, left, left+tokensIn(l, c.slack()))
}

func spentStaysSpentByKey(c *check) {
	before, after := c.named("r", 0, "10 per hour"), c.named("r", 0, "20 per day")
	for i := range int64(11) {
		c.apply(take(before, user(fmt.Sprint(i)), i))
	}
	for i := range int64(11) {
		c.wantLeft(fmt.Sprintf("a key that had spent %d of 10, of now 20", i), after, c.one(peek(after, user(fmt.Sprint(i)), 0)), 20-i)
	}
}

func changeAndBack(c *check) {
	a, b := c.named("r", 0, "10 per hour"), c.named("r", 0, "30 per hour")
	spent := int64(0)
	for range 3 {
		c.wantLeft("under 10 per hour", a, c.one(take(a, user("a"), 1)), 9-spent)
		c.wantLeft("under 30 per hour", b, c.one(take(b, user("a"), 2)), 27-spent)
		spent += 3
	}
	if r := c.one(take(a, user("a"), 2)); r.Allowed {
		c.fatalf("9 were spent by turns of a burst of 10 and one of 30, and 2 more of 10 were allowed")
	}
}

func waitsAfterChange(c *check) {
	u := c.unit()
	for i, tc := range [][2]ratelimit.Limit{
		{{Count: 1, Period: u, Burst: 3}, {Count: 1, Period: u, Burst: 5}},
		{{Count: 1, Period: u, Burst: 3}, {Count: 1, Period: u, Burst: 2}},
		{{Count: 1, Period: u, Burst: 3}, {Count: 1, Period: 2 * u, Burst: 3}},
		{{Count: 1, Period: 2 * u, Burst: 3}, {Count: 1, Period: u, Burst: 3}},
		{{Count: 2, Period: 3 * u, Burst: 3}, {Count: 3, Period: 4 * u, Burst: 2}},
	} {
		what := fmt.Sprintf("from %v to %v", tc[0], tc[1])
		before, after := c.name("r", i, tc[0]), c.name("r", i, tc[1])
		c.apply(take(before, user("a"), 3))
		c.apply(take(after, user("a"), c.one(peek(after, user("a"), 0)).Remaining))
		c.wantTrueWait(what, take(after, user("a"), 1))
	}
}

// wantTrueWait fails unless op is refused, and is still refused just before the time
// that the store says, and allowed then.
func (c *check) wantTrueWait(what string, op ratelimit.Op) {
	c.Helper()
	c.restart()
	r := c.one(op)
	c.wantRefused(what, r, r.RetryAfter)
	early := c.early(r.RetryAfter)
	c.advance(r.RetryAfter - early)
	c.wantRefused(what+", early", c.one(op), early)
	c.advance(early + c.h.Resolution)
	c.wantAllowed(what+", after its RetryAfter", c.one(op))
}

// changesMintNothing changes between limits of one burst at random. No more may be
// taken than the fastest would give.
func changesMintNothing(c *check) {
	u := c.unit()
	rnd := rand.New(rand.NewPCG(1, 1))
	var limits []*ratelimit.NamedLimit
	for _, l := range []ratelimit.Limit{{Count: 7, Period: 3 * u}, {Count: 1, Period: u}, {Count: 1, Period: 1000 * u}, {Count: 13, Period: 17 * u}} {
		limits = append(limits, c.name("r", 0, l.WithBurst(10)))
	}
	m := newMeter(c, limits[0])
	for step := range c.steps(2000) {
		op := take(limits[rnd.IntN(len(limits))], user("a"), rnd.Int64N(4))
		op.Kind = ratelimit.OpKind(rnd.IntN(2)) // take or peek
		r := c.one(op)
		if r.Allowed && op.Kind == ratelimit.OpTake {
			m.admit(fmt.Sprintf("step %d of changes between limits", step), op.Cost)
		}
		if !r.Allowed && c.exact() && rnd.IntN(3) == 0 {
			c.advance(r.RetryAfter)
			c.wantAllowed("after its RetryAfter", c.one(peek(op.Limit, op.Key, op.Cost)))
		}
		if rnd.IntN(3) == 0 {
			c.advance(time.Duration(rnd.Int64N(int64(u))))
		}
	}
}

// steps returns n, or so few that a store in real time can wait between them.
func (c *check) steps(n int) int {
	if c.exact() {
		return n
	}
	return min(n, 20)
}
