package dashboard

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Something rises under a rule if it happens more than twice as often in a window as in any recent
// window. What has not happened for newsQuiet rises when it happens once.
const (
	newsWindow = time.Second / 4
	newsQuiet  = 10 * time.Second
)

// Each news is a rendering and a message to each page. An attack is several news within a tenth of
// a second, because several rules see it, so newsBurst may come at once. On average there is one
// per newsPause at most: with hundreds of rules, something is always rising.
const (
	newsBurst = 4
	newsPause = 2 * time.Second
)

// maxNews is how many rates are kept. Rules get new names at run time.
const maxNews = 4000

// topic is what can be news.
type topic struct {
	rule string
	what what
}

type what int8

const (
	nearNews what = iota
	dryRunNews
	denialNews
)

// news wakes open pages when something rises under a rule. Otherwise they would show it with their
// next message, up to a second later.
type news struct {
	rates   sync.Map // of *rising, by topic
	topics  atomic.Int64
	paid    atomic.Int64 // until when the news so far have used up their time, in Unix nanoseconds
	pending atomic.Bool  // pages are not woken yet
	at      atomic.Int64 // when they were last woken, in Unix nanoseconds
	mu      sync.Mutex
	wake    chan struct{} // closed by the next news
}

// tell notes that something has happened under a rule. If that is news, deliver wakes the pages.
func (n *news) tell(what what, rule string, now time.Time) {
	key, at := topic{rule, what}, now.UnixNano()
	entry, known := n.rates.Load(key)
	if !known {
		if n.topics.Add(1) > maxNews {
			n.rates.Clear()
			n.topics.Store(1)
		}
		entry, _ = n.rates.LoadOrStore(key, new(rising))
	}
	if entry.(*rising).add(at) && n.afford(at) {
		n.pending.Store(true)
	}
}

// afford reports whether there may be news now.
func (n *news) afford(at int64) bool {
	for {
		paid := n.paid.Load()
		next := max(paid, at) + int64(newsPause)
		if next > at+newsBurst*int64(newsPause) {
			return false
		}
		if n.paid.CompareAndSwap(paid, next) {
			return true
		}
	}
}

// deliver wakes the pages if there is news, and lets them go first. On busy processors they would
// wait for their turn as long as each request does: in examples/orders, they told of attacks on
// passwords 50 to 150 ms later. The caller is a request whose rules have told of something, so it
// is usually of the client that pages are to show.
func (n *news) deliver() {
	if n.pending.Load() && n.pending.Swap(false) && n.wakeAll() {
		runtime.Gosched()
	}
}

// wakeAll closes the channel of next, if a page waits for it.
func (n *news) wakeAll() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.wake == nil {
		return false
	}
	n.at.Store(time.Now().UnixNano()) // frames from before do not have the news
	close(n.wake)
	n.wake = nil
	return true
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

// rising finds out whether something happens more often than before. An attack causes thousands of
// calls, so it has no lock. If calls at the end of a window meet, some of them count in the other
// window.
type rising struct {
	began atomic.Int64 // of the window, in nanoseconds since 1970
	n     atomic.Int64 // how often it happened in the window
	most  atomic.Int64 // how often it happened in a recent window
}

// add notes that it has happened once, and reports whether it rises with that. It reports so once
// in a window.
func (r *rising) add(at int64) bool {
	began := r.began.Load()
	if at-began >= int64(newsWindow) && r.began.CompareAndSwap(began, at) {
		n, most := r.n.Swap(0), r.most.Load()
		most = max(n, most-most/8)
		if at-began >= int64(newsQuiet) {
			most = 0
		}
		r.most.Store(most)
	}
	return r.n.Add(1) == 2*r.most.Load()+1
}
