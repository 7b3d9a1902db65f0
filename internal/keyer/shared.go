package keyer

import (
	"slices"

	"github.com/ratelimit-go/ratelimit/internal/key"
)

// CountsAll reports whether k does not tell clients apart. Requests over the limit then say that
// the service is short of capacity, not that a client sends too many.
func CountsAll(k Keyer) bool {
	switch k := k.(type) {
	case Global, Pattern:
		return true
	case allOf:
		return !slices.ContainsFunc(k, func(part Keyer) bool { return !CountsAll(part) })
	}
	return false
}

// SharesBlock reports whether a block of a key of k would block clients that did nothing: k counts
// all clients together, or all that lack another key.
func SharesBlock(k Keyer) bool {
	if first, ok := k.(firstOf); ok {
		return slices.ContainsFunc(first, SharesBlock)
	}
	if all, ok := k.(allOf); ok {
		return !slices.ContainsFunc(all, func(part Keyer) bool { return !SharesBlock(part) })
	}
	return CountsAll(k)
}

// NeedsPattern reports whether k is, or contains, a [Pattern] without a Route.
func NeedsPattern(k Keyer) bool {
	switch k := k.(type) {
	case Pattern:
		return k.Route == ""
	case firstOf:
		return slices.ContainsFunc(k, NeedsPattern)
	case allOf:
		return slices.ContainsFunc(k, NeedsPattern)
	}
	return false
}

// Shares reports whether clients share got, which k or OnMissingKey has given to requests.
func Shares(k Keyer, got key.Key) bool {
	if got == key.Shared() {
		return true
	}
	switch k := k.(type) {
	case Global:
		return got == key.Key(k)
	case Pattern:
		return key.KindOf(got) == key.Pattern
	case allOf:
		return key.KindOf(got) == key.Joined && CountsAll(k)
	case firstOf:
		return slices.ContainsFunc(k, func(part Keyer) bool { return Shares(part, got) })
	}
	return false
}
