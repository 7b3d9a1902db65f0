package shed

// Stats is the state of a [Shedder], for dashboards.
type Stats struct {
	// Limit is how many requests may be in flight, including the new one, when a Normal request
	// is allowed.
	Limit int
	// InFlight is how many requests are in flight. Exempt requests do not count.
	InFlight int
	// Shed is how many requests of each priority have been denied since [New]. It has all three
	// priorities as keys.
	Shed map[Priority]int64
}

// Stats returns the state of s. It reads the numbers one after the other, so they may be from
// slightly different times. The caller may keep and change the map.
func (s *Shedder) Stats() Stats {
	stats := Stats{
		Limit:    int(s.limit.Load()),
		InFlight: int(s.inFlight.Load()),
		Shed:     make(map[Priority]int64, priorities),
	}
	for p := Sheddable; p <= Critical; p++ {
		stats.Shed[p] = s.shed[p.index()].Load()
	}
	return stats
}
