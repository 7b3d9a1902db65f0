package recorder

import "net/http"

// StatusOf returns the status of a, if the handler has ended. It is 101 if the handler hijacked the
// connection, 500 if it panicked before it wrote a status, and 0 if it returned without one.
func (a Answer) StatusOf(panicked bool) int {
	switch {
	case a.Status != 0:
		return a.Status
	case a.Hijacked:
		return http.StatusSwitchingProtocols
	case panicked:
		return http.StatusInternalServerError
	}
	return 0
}

// Seen reports whether the Recorder has seen what the client is answered. If the handler has ended
// without a response, the answer comes from elsewhere: from net/http with status 200, from a
// framework with the error that the handler returned, or from middleware that recovers a panic.
func (a Answer) Seen() bool { return a.Status != 0 || a.Hijacked }
