package storetest

import (
	"context"
	"sync"
	"time"

	"github.com/ratelimit-go/ratelimit/store"
)

const (
	// stallDeadline is the deadline of the calls to a stalled store.
	stallDeadline = 20 * time.Millisecond

	// stallPatience is how much later they may return on a loaded machine. A client that ignores
	// its context has a timeout of its own, which is longer.
	stallPatience = 2 * time.Second
)

func stallCases() []testCase {
	const rule = "Apply must return when ctx is done. It must not retry a take whose outcome is unknown. " +
		"It applies all ops or none."
	return []testCase{{"a stalled store returns in time and retries no take", rule, stalled}}
}

func stalled(c *check) {
	l := c.limit("r", 0, per(100, day))
	batch := []store.Op{take(l, user("a"), 1), take(l, user("b"), 1)}
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
			c.fatalf("call %d: Apply returned more than %v after the deadline", n+1, stallPatience)
		case err == nil:
			c.fatalf("call %d: Apply returned no error, but the store cannot have answered", n+1)
		}
	}
	resume()
	c.apply(peek(l, user("a"), 1))
	time.Sleep(2 * stallDeadline) // until the calls under way have arrived
	results := c.apply(peek(l, user("a"), 1), peek(l, user("b"), 1))
	spent := 100 - results[0].Remaining
	if spent < 1 || spent > 1+calls {
		c.fatalf("%d calls without an answer have charged %d", calls, spent-1)
	}
	if other := 100 - results[1].Remaining; other != spent {
		c.fatalf("calls without an answer have charged %d to a bucket and %d to another", spent-1, other-1)
	}
}
