package dashboard

import (
	"sync"
	"sync/atomic"
	"time"
)

// newsQuiet is for how long nothing must have happened under a rule before it is news again.
const newsQuiet = 10 * time.Second

// newsStep is how exactly the time of the last event of a rule is known. Within it an event costs
// no lock, because an attack causes thousands.
const newsStep = time.Second

// newsPause is the least time between two news. With hundreds of rules, one of them is always
// beginning to deny, and each news is a rendering and a message to each page.
const newsPause = 2 * time.Second

// maxNews is for how many rules the last time is kept. Rules get new names at run time.
const maxNews = 2000

// news wakes open pages when a rule begins to deny, or when a client comes near its limit.
// Otherwise they would show it with their next message, up to a second later.
type news struct {
	last  sync.Map // of *atomic.Int64, in nanoseconds since 1970, by the name of the rule
	rules atomic.Int64
	at    atomic.Int64 // of the last news
	mu    sync.Mutex
	wake  chan struct{} // closed by the next news
}

// tell notes that something has happened under a rule, and wakes all pages if that is news.
func (n *news) tell(rule string, now time.Time) {
	at := now.UnixNano()
	entry, known := n.last.Load(rule)
	if !known {
		if n.rules.Add(1) > maxNews {
			n.last.Clear()
			n.rules.Store(1)
		}
		entry, _ = n.last.LoadOrStore(rule, new(atomic.Int64))
	}
	last := entry.(*atomic.Int64)
	before := last.Load()
	if at-before < int64(newsStep) || !last.CompareAndSwap(before, at) || at-before < int64(newsQuiet) {
		return
	}
	if old := n.at.Load(); at-old < int64(newsPause) || !n.at.CompareAndSwap(old, at) {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.wake != nil {
		close(n.wake)
		n.wake = nil
	}
}

// next returns a channel that the next news closes.
func (n *news) next() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.wake == nil {
		n.wake = make(chan struct{})
	}
	return n.wake
}
