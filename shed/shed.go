package shed

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/report"
	"github.com/ratelimit-go/ratelimit/internal/respond"
	"github.com/ratelimit-go/ratelimit/internal/routes"
)

// A Shedder bounds the requests in flight in this process. Create it with [New]. It is safe for
// concurrent use, starts no goroutines and does not need to be closed.
type Shedder struct {
	settings atomic.Pointer[settings]
	start    time.Time

	_        [64]byte // every request writes the fields below, so they get a cache line of their own
	inFlight atomic.Int64
	limit    atomic.Int64 // for Normal requests
	shed     [priorities]atomic.Int64

	adapting sync.Mutex // guards adaptive, and is held while settings change
	adaptive adaptive
}

// settings are a Config in force, and who is told of its panics. They are immutable.
type settings struct {
	Config
	reporter *report.Reporter
}

// New returns a Shedder for cfg. If cfg is invalid, the error joins one error per mistake. Each
// begins with the field, such as "shed: MaxInFlight: 0: want 1 to 1000000".
func New(cfg Config) (*Shedder, error) {
	s := &Shedder{start: time.Now()}
	if err := s.Replace(cfg); err != nil {
		return nil, err
	}
	return s, nil
}

// Replace replaces the configuration of s, from the next request on. Requests in flight keep their
// places. If the limit adapts before and after, and is below its maximum, it stays where it is,
// within the new bounds. Otherwise it begins at its maximum. The counts of [Stats] go on. The
// errors are the errors of [New]. With an error nothing is replaced.
func (s *Shedder) Replace(cfg Config) error {
	if err := cfg.check(); err != nil {
		return err
	}
	lower, upper := cfg.bounds()
	fresh := newAdaptive(lower, upper, cfg.TargetLatency)
	s.adapting.Lock()
	defer s.adapting.Unlock()
	if old := s.adaptive; old.target > 0 && fresh.target > 0 && old.limit < old.upper {
		fresh.limit = min(max(old.limit, fresh.lower), fresh.upper)
	}
	fresh.opened = time.Since(s.start)
	s.adaptive = fresh
	s.settings.Store(&settings{cfg, report.New("shed", "load shedder", cfg.OnError)})
	s.limit.Store(int64(fresh.limit))
	return nil
}

// Handler returns a handler that passes a request on to next if there is room for its priority, and
// denies it with status 503 otherwise. All handlers of s share its limit. A request is in flight
// until next returns, panics or exits. A hijacked connection stops counting when next returns.
//
// Put [http.TimeoutHandler] around the returned handler: inside, it returns while the work goes on.
// A denial has a Retry-After of 1 to 3 seconds, at random, to spread the retries. Outer limiters
// refund the request, but their response fields do not show it. Handler does not wrap w.
func (s *Shedder) Handler(next http.Handler) http.Handler {
	respond.CheckHandler("shed", next)
	if s == nil || s.settings.Load() == nil {
		panic("shed: a Shedder that New has not made: want New, and look at its error")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := s.settings.Load()
		if c.exempt(r) {
			next.ServeHTTP(w, r)
			return
		}
		if p := c.priority(r); !s.enter(c, p) {
			s.shed[p.index()].Add(1)
			c.deny(w, r, p)
			return
		}
		if c.TargetLatency > 0 && r.Body != nil && r.Body != http.NoBody {
			s.serveBody(c, w, r, next)
			return
		}
		defer s.leave(c, s.now(c))
		next.ServeHTTP(w, r)
	})
}

func (c *settings) exempt(r *http.Request) (exempt bool) {
	if c.Exempt != nil {
		ask := func() error { exempt = routes.Every(r, c.Exempt); return nil }
		c.reporter.Call(r.Context(), "Exempt", ask)
	}
	return exempt
}

func (c *settings) priority(r *http.Request) (p Priority) {
	if c.Priority != nil {
		c.reporter.Call(r.Context(), "Priority", func() error { p = c.Priority(r).known(); return nil })
	}
	return p
}

// enter takes a place for a request, if there is room. A denial writes no shared memory here, so a
// flood of denied requests does not slow down the allowed ones.
func (s *Shedder) enter(c *settings, p Priority) bool {
	room := s.room(c, p)
	for {
		n := s.inFlight.Load()
		if n >= room {
			return false
		}
		if s.inFlight.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// room returns how many requests may be in flight, including a new one of priority p. It is at
// least 1, so a Shedder without requests always allows one.
func (s *Shedder) room(c *settings, p Priority) int64 {
	switch p {
	case Critical:
		return int64(c.MaxInFlight)
	case Normal:
		return s.limit.Load()
	}
	return max(s.limit.Load()*3/4, 1)
}

// leave frees the place of a request that began at the given time, under c.
func (s *Shedder) leave(c *settings, began time.Duration) {
	n := s.inFlight.Add(-1) + 1
	// While another goroutine holds the lock, this request is not observed. A sample is enough.
	if c.TargetLatency == 0 || !s.adapting.TryLock() {
		return
	}
	defer s.adapting.Unlock()
	if c != s.settings.Load() { // the request began under another target
		return
	}
	s.adaptive = s.adaptive.observe(began, s.now(c), int(n))
	if limit := int64(s.adaptive.limit); limit != s.limit.Load() {
		s.limit.Store(limit)
	}
}

// now returns the time since start. It is zero if the limit does not adapt, which saves 25 of 40 ns
// (BenchmarkShedder/fixed).
func (s *Shedder) now(c *settings) time.Duration {
	if c.TargetLatency == 0 {
		return 0
	}
	return time.Since(s.start)
}
