package outbound

// sharing is what a client knows of other clients of a quota, such as other processes.
type sharing struct {
	base float64 // what was left by the first answer of the window
	own  float64 // requests of this client since
	last float64 // what was used up per request of this client since, or 0
	cost float64 // the same, by the windows before too; 0 means 1
}

// begin begins a window.
func (s *sharing) begin(o observation) {
	if s.last > 0 {
		s.cost = (s.each() + s.last) / 2
	}
	s.base, s.own, s.last = o.left(), o.others, 0
}

// weigh compares what is used with what the client has used itself.
func (s *sharing) weigh(o observation, limit float64) {
	if used := s.base - o.left(); used >= max(5, limit/20) {
		s.last = min(max(used/max(s.own, 1), 1), 1+limit/20) // so at most a twentieth is never used
		s.cost = max(s.cost, s.last)
	}
}

// each returns what is used up while this client sends a request.
func (s *sharing) each() float64 { return max(s.cost, 1) }

// each is the same, but not more than the limit of now has room for. The limit may have been larger
// before, and a request that needs more than the limit would wait for ever.
func (q *quota) each() float64 {
	return max(min(q.sharing.each(), 1+q.limit/20, q.holds()), 1)
}
