//go:build race

package store_test

// raceEnabled is true because the race detector makes sync.Pool drop things at random.
const raceEnabled = true
