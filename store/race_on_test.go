//go:build race

package store_test

// raceEnabled says that everything is ten times slower.
const raceEnabled = true
