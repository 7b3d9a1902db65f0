package recorder

import "net/http"

// StatusOf returns the status that net/http sends for a, if the handler has ended: 200 if it wrote
// nothing, 500 if it panicked before, and 101 if it hijacked the connection.
func (a Answer) StatusOf(panicked bool) int {
	switch {
	case a.Status != 0:
		return a.Status
	case a.Hijacked:
		return http.StatusSwitchingProtocols
	case panicked:
		return http.StatusInternalServerError
	}
	return http.StatusOK
}
