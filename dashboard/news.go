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
// a second, because several rules see it, so newsBurst of a kind may come at once. On average there
// is one of a kind per newsPause at most: with hundreds of rules, something is always rising. The
// kinds do not share, so clients near a limit never hide that others are denied.
const (
	newsBurst = 4
	newsPause = 2 * time.Second
)

// maxNews is how many rates are kept. Rules get new names at run time.
const maxNews = 4000

// topic is what can be news.
type topic struct {
	rule string
	kind kind
}

// kind is a kind of news. Several are a set.
type kind uint32

const (
	nearNews kind = 1 << iota
	dryRunNews
	denialNews
)

const kinds = 3

// news wakes open pages when something rises under a rule. Otherwise they would show it with their
// next message, up to a second later.
type news struct {
	rates   sync.Map // of *rising, by topic
	topics  atomic.Int64
	pending atomic.Uint32       // the kinds of news of which pages are not woken yet
	paid    [kinds]atomic.Int64 // until when the news of a kind have used up their time, as in at
	at      atomic.Int64        // when pages were last woken, in nanoseconds since 1970
	mu      sync.Mutex
	wake    chan struct{} // closed by the next news
}

// tell notes that something has happened under a rule. If that is news, deliver wakes the pages.
func (n *news) tell(kind kind, rule string, now time.Time) {
	key := topic{rule, kind}
	entry, known := n.rates.Load(key)
	if !known {
		if n.topics.Add(1) > maxNews {
			n.rates.Clear()
			n.topics.Store(1)
		}
		entry, _ = n.rates.LoadOrStore(key, new(rising))
	}
	if entry.(*rising).add(now.UnixNano()) {
		n.pending.Or(uint32(kind))
	}
}

// afford reports whether there may be news of one of the kinds now, and counts it for each.
func (n *news) afford(of kind, now time.Time) (yes bool) {
	at := now.UnixNano()
	for i := range n.paid {
		paid := n.paid[i].Load()
		next := max(paid, at) + int64(newsPause)
		if of>>i&1 == 0 || next > at+newsBurst*int64(newsPause) {
			continue
		}
		yes = n.paid[i].CompareAndSwap(paid, next) || yes // or another request delivers the same
	}
	return yes
}

// deliver wakes the pages if there is news, and lets them go first. On busy processors they would
// wait for their turn as long as each request does: in examples/orders, they told of attacks on
// passwords 50 to 150 ms later. The caller is a request whose rules have told of something, so it
// is usually of the client that pages are to show.
func (n *news) deliver(now time.Time) {
	if n.pending.Load() == 0 {
		return
	}
	if of := kind(n.pending.Swap(0)); of != 0 && n.afford(of, now) && n.wakeAll() {
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
