package ratelimit

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// ShedConfig is what [NewShedder] makes a [Shedder] of. MaxInFlight must be set.
type ShedConfig struct {
	_ [0]func()

	// MaxInFlight is how many requests may be in flight, at most a million: the most that the
	// service survives, whoever asks. It has no default. If there is a Priority, a tenth of it,
	// rounded up, is kept for Critical requests. Requests that never end keep their places,
	// so give them deadlines.
	MaxInFlight int
	// MinInFlight is how far the limit may be lowered. Zero means a tenth of MaxInFlight, but
	// at least 1.
	MinInFlight int
	// TargetLatency is how long 95 of 100 requests should take at most. It makes the limit
	// adaptive: it starts at its maximum, is lowered while more requests than that are slower, in
	// proportion to how many are, and raised again while they are not and the limit is in
	// use. So it settles where the service works at its capacity with a queue that takes no longer than
	// TargetLatency. Choose a time that is several times what a request takes without
	// load: if an idle service does not meet it, the limit stays at MinInFlight. The time in
	// which a client sends its body, or takes its answer, counts too, so many slow clients
	// can lower the limit: give them deadlines (http.Server.ReadTimeout and WriteTimeout), or
	// read bodies before.
	//
	// The algorithm is that of DCTCP (RFC 8257), an additive increase and a decrease in proportion
	// to the extent of congestion, which is a congestion control of the kind that shares a
	// bottleneck fairly among those who know nothing of each other (Chiu and Jain, 1989), as
	// instances in front of one database do.
	//
	// Zero means that the limit is at its maximum at all times.
	TargetLatency time.Duration
	// Priority, if not nil, says how important a request is. Nil means that all are [Normal], and
	// so is a request for which it panics, which is reported. Whatever it goes by should not
	// be in the hands of clients: who can call himself [Critical] will.
	Priority func(r *http.Request) Priority
	// Exempt, if not nil, reports whether a request is neither counted nor refused. It is for
	// requests that last because they wait, such as WebSockets and server-sent events, which
	// would occupy the limit without any work. Go by their routes and not by what they ask for:
	// any client can ask for an upgrade.
	Exempt func(r *http.Request) bool

	// Denied, if not nil, writes the response to a refused request in the place of the
	// default one. Retry-After and Cache-Control are set before. The Reason of the Decision is
	// [ReasonOverload], and it has no Rule, Limit or Key.
	Denied func(w http.ResponseWriter, r *http.Request, d Decision)
	// OnDenied, if not nil, is called for each refused request, before the response.
	OnDenied func(r *http.Request, d Decision)
	// OnError, if not nil, is called when a function in this ShedConfig panics, but for Denied. Nil logs it
	// with [log/slog], at most once every 10 seconds.
	OnError func(ctx context.Context, err error)
}

// Priority is how important a request is to the service. Values beyond [Sheddable] and [Critical]
// count as these. The zero value is [Normal].
type Priority int8

const (
	// Sheddable requests are the first to be refused, when three quarters of the limit are in
	// flight: crawlers, prefetching, exports, what is asked again later.
	Sheddable Priority = iota - 1
	// Normal requests are refused when as many requests as the limit are in flight.
	Normal
	// Critical requests are refused only when MaxInFlight requests are in flight: health checks,
	// payments, signing in. They count for the limit, so others make room for them.
	Critical
)

// String returns "sheddable", "normal" or "critical".
func (p Priority) String() string {
	return [...]string{"sheddable", "normal", "critical"}[p.index()]
}

// index is 0 for Sheddable, 1 for Normal, 2 for Critical.
func (p Priority) index() int { return int(min(max(p, Sheddable), Critical)) + 1 }

// A Shedder keeps a service within its capacity: it bounds the requests in flight, whosever they
// are, by how many the service can answer in time, and refuses what is too much with
// status 503, the least important requests first. It makes no request wait. That
// is what "Site Reliability Engineering" (Beyer et al., 2016, chapter 21) and DAGOR (Zhou et
// al., "Overload Control for Scaling WeChat Microservices", 2018) advise; a [Limiter]
// is for the excess of single clients.
//
// It is made by [NewShedder], and is safe for concurrent use. It counts for itself in this process,
// as what it protects is this process. It starts no goroutine and needs no closing.
type Shedder struct {
	cfg ShedConfig
	reporter
	start time.Time

	_        [64]byte // what follows is written by every request
	inFlight atomic.Int64
	limit    atomic.Int64 // of Normal
	shed     [Critical + 2]atomic.Int64

	adapting sync.Mutex
	adaptive adaptive
}

// NewShedder makes a Shedder. The error joins a [*ConfigError] for every mistake there is.
func NewShedder(cfg ShedConfig) (*Shedder, error) {
	var m mistakes
	cfg.check(&m)
	if len(m) > 0 {
		return nil, errors.Join(m...)
	}
	lower, upper := cmp.Or(cfg.MinInFlight, max(cfg.MaxInFlight/10, 1)), cfg.MaxInFlight
	if cfg.Priority != nil {
		upper = max(upper-(upper+9)/10, 1)
	}
	s := &Shedder{cfg: cfg, reporter: newReporter(cfg.OnError), start: time.Now()}
	s.adaptive = newAdaptive(min(lower, upper), upper, cfg.TargetLatency)
	s.limit.Store(int64(upper))
	return s, nil
}

func (c *ShedConfig) check(m *mistakes) {
	if c.MaxInFlight < 1 || c.MaxInFlight > maxInFlight {
		m.addf("MaxInFlight", "%d: want 1 to %d", c.MaxInFlight, maxInFlight)
	}
	switch {
	case c.MinInFlight < 0:
		m.addf("MinInFlight", "%d: want a positive number, or 0 for a tenth of MaxInFlight", c.MinInFlight)
	case c.MinInFlight > max(c.MaxInFlight, 0):
		m.addf("MinInFlight", "%d: want at most MaxInFlight, which is %d", c.MinInFlight, c.MaxInFlight)
	}
	if c.TargetLatency < 0 {
		m.addf("TargetLatency", "%v: want a positive time, or 0 for a limit that does not adapt", c.TargetLatency)
	}
}

// Handler returns a handler that passes a request on to next if the service has room for one of
// its priority, and answers with status 503 otherwise. A request is in flight until
// next has ended, whatever way it ends; a connection that it has taken over does not count once
// it has returned. All handlers of a Shedder share its limit. Put [http.TimeoutHandler]
// around them and not inside, where it returns while the work goes on.
//
// Put the Shedder inside of a [Limiter]: what that refuses then needs no room here, and its quick
// answers do not pass for those of a quick service. A request that is refused here is given back
// what the Limiter took, unless that has Config.NoContext; header fields that are written by then do
// not show it.
//
// A refusal has a Retry-After of 1 to 3 seconds, at random, so that those who are refused
// together do not come back together. The ResponseWriter is passed on as it is.
func (s *Shedder) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.exempt(r) {
			next.ServeHTTP(w, r)
			return
		}
		if p := s.priority(r); !s.enter(p) {
			s.shed[p.index()].Add(1)
			s.refuse(w, r)
			return
		}
		defer s.leave(s.now())
		next.ServeHTTP(w, r)
	})
}

func (s *Shedder) exempt(r *http.Request) (exempt bool) {
	if s.cfg.Exempt != nil {
		s.guard(r, "Exempt", func() error { exempt = s.cfg.Exempt(r); return nil })
	}
	return exempt
}

func (s *Shedder) priority(r *http.Request) (p Priority) {
	if s.cfg.Priority != nil {
		s.guard(r, "Priority", func() error { p = s.cfg.Priority(r); return nil })
	}
	return p
}

// enter takes a place for a request, if there is one. A refusal writes nothing that
// others wait for, so a flood of them costs those who are admitted nothing.
func (s *Shedder) enter(p Priority) bool {
	room := s.room(p)
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

// room returns how many requests may be in flight, together with one of priority p. It is
// never less than 1.
func (s *Shedder) room(p Priority) int64 {
	switch p.index() {
	case Critical.index():
		return int64(s.cfg.MaxInFlight)
	case Normal.index():
		return s.limit.Load()
	}
	return max(s.limit.Load()*3/4, 1)
}

// leave gives the place of a request back that began then.
func (s *Shedder) leave(began time.Duration) {
	n := s.inFlight.Add(-1) + 1
	// Who finds another one at it goes without: this is a sample.
	if s.cfg.TargetLatency == 0 || !s.adapting.TryLock() {
		return
	}
	defer s.adapting.Unlock()
	s.adaptive = s.adaptive.observe(began, s.now(), int(n))
	if limit := int64(s.adaptive.limit); limit != s.limit.Load() {
		s.limit.Store(limit)
	}
}

// now is zero if nobody asks what time it is.
func (s *Shedder) now() time.Duration {
	if s.cfg.TargetLatency == 0 {
		return 0
	}
	return time.Since(s.start)
}

func (s *Shedder) refuse(w http.ResponseWriter, r *http.Request) {
	giveBack(r.Context())
	d := Decision{Reason: ReasonOverload, RetryAfter: time.Duration(1+rand.IntN(3)) * time.Second}
	if s.cfg.OnDenied != nil {
		s.guard(r, "OnDenied", func() error { s.cfg.OnDenied(r, d); return nil })
	}
	m := new(denial)
	m.begin(w.Header(), retryAfter(w.Header(), d.RetryAfter))
	if s.cfg.Denied != nil {
		s.cfg.Denied(w, r, d)
		return
	}
	m.answer(w, r, &d, new(verdict), nil)
}

// ShedStats is the state of a [Shedder], for dashboards.
type ShedStats struct {
	// Limit is how many requests may be in flight for a Normal one to be admitted, together
	// with it.
	Limit int
	// InFlight is how many are.
	InFlight int
	// Shed is how many requests of each priority have been refused since the start.
	Shed map[Priority]int64
}

// Stats returns the state of s. Its numbers are read one after the other.
func (s *Shedder) Stats() ShedStats {
	stats := ShedStats{Limit: int(s.limit.Load()), InFlight: int(s.inFlight.Load()), Shed: map[Priority]int64{}}
	for p := Sheddable; p <= Critical; p++ {
		stats.Shed[p] = s.shed[p.index()].Load()
	}
	return stats
}
