//go:build race

package guard

// raceEnabled says that everything is ten times slower.
const raceEnabled = true
