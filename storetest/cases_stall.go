package storetest

import (
	"context"
	"sync"
	"time"

	"github.com/ratelimit-go/ratelimit"
)

const (
	// stallDeadline is how long the calls of a stalled store may take by their contexts.
	stallDeadline = 20 * time.Millisecond

	// stallPatience is how much longer they may take, on a loaded machine. A client that does not
	// look at its context has a timeout of its own, which is longer.
	stallPatience = 2 * time.Second
)

func stallCases() []testCase {
	const rule = "It must give up when ctx is done, must not retry a take whose outcome is unknown, and charges all of a batch or nothing."
	return []testCase{{"a store that does not answer", rule, stalled}}
}

func stalled(c *check) {
	l := c.named("r", 0, "100 per day")
	batch := []ratelimit.Op{take(l, user("a"), 1), take(l, user("b"), 1)}
	c.apply(batch...)
	resume := sync.OnceFunc(c.h.Stall())
	defer resume()
	const calls = 3
	for n := range calls {
		ctx, cancel := context.WithTimeout(context.Background(), stallDeadline)
		late := time.AfterFunc(stallDeadline+stallPatience, resume)
		_, err := c.try(ctx, batch)
		cancel()
		switch {
		case !late.Stop():
			c.fatalf("call %d: Apply did not return for %v after the deadline of its context", n+1, stallPatience)
		case err == nil:
			c.fatalf("call %d: Apply returned no error, but the store cannot have answered", n+1)
		}
	}
	resume()
	c.apply(peek(l, user("a"), 1))
	time.Sleep(2 * stallDeadline) // until what was under way has arrived
	results := c.apply(peek(l, user("a"), 1), peek(l, user("b"), 1))
	spent := 100 - results[0].Remaining
	if spent < 1 || spent > 1+calls {
		c.fatalf("%d calls without an answer have charged %d", calls, spent-1)
	}
	if other := 100 - results[1].Remaining; other != spent {
		c.fatalf("calls without an answer have charged %d to one bucket of a batch and %d to the other", spent-1, other-1)
	}
}
