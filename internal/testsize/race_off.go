//go:build !race

package testsize

// Race is false without the race detector.
const Race = false
