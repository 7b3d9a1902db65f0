//go:build race

package testsize

// Race is true with the race detector, which makes sync.Pool drop things at random.
const Race = true
