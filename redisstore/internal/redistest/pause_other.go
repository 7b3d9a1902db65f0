//go:build !unix

package redistest

// Pause needs signals.
func (s *Server) Pause() { s.tb.Fatal("redistest: a process cannot be paused on this system") }

// Resume is the end of Pause.
func (s *Server) Resume() {}
