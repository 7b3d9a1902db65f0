package dashboard

import (
	"sync"
	"time"

	"github.com/ratelimit-go/ratelimit"
)

// Bounds of events.
const (
	maxEvents = 100
	maxEvent  = 240 // bytes of a text
)

// event is something that happened, for people.
type event struct {
	at    time.Time
	level string // "info", "warn" or "bad": the color
	text  string
	rule  string
	key   ratelimit.Key
	times int // how often the same happened in a row
}

// events is a ring of the last events.
type events struct {
	mu   sync.Mutex
	ring [maxEvents]event
	n    int // of all events ever; the last one is at n-1
}

// add adds e. If the last event says the same, it is counted there.
func (s *events) add(e event) {
	e.text, e.times = clean(e.text, maxEvent), 1
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n > 0 {
		last := &s.ring[(s.n-1)%maxEvents]
		if last.text == e.text && last.rule == e.rule && last.key == e.key {
			last.at, last.times = e.at, last.times+1
			return
		}
	}
	s.ring[s.n%maxEvents] = e
	s.n++
}

// last returns at most limit events, newest first.
func (s *events) last(limit int) (list []event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := s.n - 1; i >= 0 && i >= s.n-min(limit, maxEvents); i-- {
		list = append(list, s.ring[i%maxEvents])
	}
	return list
}
