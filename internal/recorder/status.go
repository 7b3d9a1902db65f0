package recorder

import (
	"fmt"
	"net/http"
	"slices"
)

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

// MustStatuses returns a copy of codes. It panics unless they are statuses that a handler can have
// answered in the end: name is the function that was given them.
func MustStatuses(name string, codes []int) []int {
	if len(codes) == 0 {
		panic(fmt.Sprintf("ratelimit: %s(): no status: want for example %[1]s(401)", name))
	}
	for _, code := range codes {
		if code != http.StatusSwitchingProtocols && (code < 200 || code > 999) {
			panic(fmt.Sprintf("ratelimit: %s(%d): no response has this status: want for example %[1]s(401)",
				name, code))
		}
	}
	return slices.Clone(codes)
}
