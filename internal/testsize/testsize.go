// Package testsize gives long tests a smaller size.
package testsize

import "testing"

// Of returns full. In short mode, and with the race detector, it returns less: the detector makes
// code up to twenty times slower, and has nothing to find in one goroutine. A test must fail in
// both sizes if its promise is broken. make cover runs all tests of the root module in full,
// and make full the tests of the other modules.
func Of(full, less int) int {
	if Race || testing.Short() {
		return less
	}
	return full
}
