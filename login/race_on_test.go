//go:build race

package login_test

// raceEnabled says that everything is ten times slower.
const raceEnabled = true
