package keyer

import "slices"

// Shows reports whether k, once it is bound, may pass the request to a function of the user. A
// Keyer of another package is one.
func Shows(k Keyer) bool {
	switch k := k.(type) {
	case Addr:
		return k.Conditional()
	case Header, Cookie, Pattern, Global:
		return false
	case firstOf:
		return slices.ContainsFunc(k, Shows)
	case allOf:
		return slices.ContainsFunc(k, Shows)
	}
	return true
}
