package dashboard

import (
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// streamTime is how long a stream lasts. Then the browser opens a new stream, which outer handlers
// see.
const streamTime = 5 * time.Minute

// tickTime is the time between two messages. All streams have their turns within spread, and the
// first of them renders what all of them send.
const (
	tickTime = time.Second
	spread   = tickTime / 2
)

// streams counts the open streams and ends them.
type streams struct {
	mu   sync.Mutex
	free int
	over bool
	done chan struct{}

	patience time.Duration // in which a page must have read a message
	askAgain time.Duration // after which Authorize is called again
}

func (s *streams) init(most int) {
	s.free, s.done = most, make(chan struct{})
	s.patience, s.askAgain = 5*time.Second, 10*time.Second
}

func (s *streams) open() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free == 0 || s.over {
		return false
	}
	s.free--
	return true
}

func (s *streams) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free++
}

func (s *streams) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		s.over = true
		close(s.done)
	}
}

// serveStream sends a message per second, and earlier for news, with the sections that have
// changed, until the client leaves, reads too slowly, or is no longer authorized.
func (p *Page) serveStream(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead {
		return
	}
	rc := http.NewResponseController(w)
	if err := rc.SetWriteDeadline(time.Now().Add(p.streams.patience)); err != nil {
		http.Error(w, "the server cannot bound the time of a write", http.StatusNotImplemented)
		return
	}
	if !p.streams.open() {
		w.Header().Set("Retry-After", "10")
		http.Error(w, "too many pages are open", http.StatusServiceUnavailable)
		return
	}
	defer p.streams.release()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would keep messages back
	if r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close") // the deadline of a write would stay for the next request
	}
	act, last := p.mayAct(r), 0
	send := func(now time.Time) error {
		message := p.frame(now, act).since(&last)
		if message == nil {
			return nil
		}
		if err := rc.SetWriteDeadline(time.Now().Add(p.streams.patience)); err != nil {
			return err
		}
		if _, err := w.Write(message); err != nil {
			return err
		}
		return rc.Flush()
	}
	p.follow(r, act, send)
}

// follow calls send once per second, and earlier for news, until it fails or the stream is over.
func (p *Page) follow(r *http.Request, act bool, send func(now time.Time) error) {
	start := time.Now()
	asked := start
	pace := newPace(&p.watch.news, p.start)
	defer pace.tick.Stop()
	for now := start; send(now) == nil; {
		var ok bool
		if now, ok = pace.wait(r.Context().Done(), p.streams.done); !ok {
			return
		}
		if now.Sub(asked) >= p.streams.askAgain {
			asked = now
			if !p.ask("Authorize", p.cfg.Authorize, r) || p.mayAct(r) != act {
				return
			}
		}
		if now.Sub(start) >= streamTime {
			return
		}
	}
}

// pace says when a stream sends its messages.
type pace struct {
	phase time.Time // a turn of the stream, as every tickTime after it
	tick  *time.Timer
	news  *news
	wake  <-chan struct{}
}

// newPace returns the pace of a new stream of a page that was made at start. The turns of streams
// are at random within spread, or all messages would be written at the same time. The requests of
// the service would have to wait for that.
func newPace(n *news, start time.Time) *pace {
	p := &pace{phase: start.Add(rand.N(spread) - tickTime), news: n, wake: n.next()}
	p.tick = time.NewTimer(p.due(time.Now()))
	return p
}

// due returns the time until the next turn after now.
func (p *pace) due(now time.Time) time.Duration { return tickTime - now.Sub(p.phase)%tickTime }

// wait returns when the next message is due, or false if one of the channels was closed. Messages
// for news come besides the messages of each second.
func (p *pace) wait(left, done <-chan struct{}) (now time.Time, ok bool) {
	select {
	case <-left:
		return now, false
	case <-done:
		return now, false
	case <-p.wake:
		now = time.Now()
	case now = <-p.tick.C:
		p.tick.Reset(p.due(now))
	}
	p.wake = p.news.next()
	return now, true
}
