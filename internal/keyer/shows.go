package keyer

import (
	"net/http"
	"slices"

	"github.com/ratelimit-go/ratelimit/clientip"
	"github.com/ratelimit-go/ratelimit/internal/copied"
)

// Shows reports whether k, once it is bound, needs a whole request: it may pass the request to a
// function of the user, or reads a field that copies are without. A Keyer of another package may do
// both.
func Shows(k Keyer) bool {
	switch k := k.(type) {
	case Addr:
		return SourceShows(k.Source)
	case Header:
		return copied.Omits(string(k))
	case Cookie, Pattern, Global:
		return false
	case firstOf:
		return slices.ContainsFunc(k, Shows)
	case allOf:
		return slices.ContainsFunc(k, Shows)
	}
	return true
}

// Sources are ways to find the addresses of clients.
type Sources map[clientip.Source]bool

// SourceShows is Shows for the address that src finds.
func SourceShows(src clientip.Source) bool {
	return src.Conditional() || copied.Omits(src.Trace(new(http.Request)).Field)
}
