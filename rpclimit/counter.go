package rpclimit

import (
	"sync"

	"github.com/ratelimit-go/ratelimit"
)

// holder is a key under a rule or bound, by its name or place in the Config.
type holder struct {
	index int
	key   ratelimit.Key
}

// permit is one place of a holder that may have max.
type permit struct {
	holder
	max int
}

// counter counts permits. It keeps nothing of holders that hold none, so it is as large as there
// are calls. The zero counter is empty. It is safe for concurrent use.
type counter struct {
	mu    sync.Mutex
	held  map[holder]int
	total int
}

// take takes all permits, or none. It returns the place of the first that is missing, or -1.
func (c *counter) take(ps []permit) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range ps {
		if c.held[ps[i].holder] >= ps[i].max {
			return i
		}
	}
	if c.held == nil {
		c.held = map[holder]int{}
	}
	for i := range ps {
		c.held[ps[i].holder]++
	}
	c.total += len(ps)
	return -1
}

func (c *counter) release(ps []permit) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range ps {
		h := ps[i].holder
		if c.held[h]--; c.held[h] <= 0 {
			delete(c.held, h)
		}
	}
	c.total -= len(ps)
}

// count returns how many permits are held.
func (c *counter) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.total
}
