package guard

// breakerState is one word that can be read without a lock. It holds, from the highest bit, the era
// (32 bits), the phase (16 bits), and the failures in a row while closed (16 bits).
type breakerState uint64

const (
	phaseClosed = iota
	phaseOpen
	phaseProbing
	phaseRamping
)

// A ticket is the era in which a call passed. An era ends when the breaker opens and when it sends
// a probe. An outcome that is reported for an earlier era is out of date.
type ticket uint32

func newBreakerState(era ticket, phase, failures uint16) breakerState {
	return breakerState(era)<<32 | breakerState(phase)<<16 | breakerState(failures)
}

func (s breakerState) era() ticket      { return ticket(s >> 32) }
func (s breakerState) phase() uint16    { return uint16(s >> 16) }
func (s breakerState) failures() uint16 { return uint16(s) }

// waiting reports whether no call passes before retryAt.
func (s breakerState) waiting() bool {
	return s.phase() == phaseOpen || s.phase() == phaseProbing
}
