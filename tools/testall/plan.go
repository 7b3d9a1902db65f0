package main

import (
	"os/exec"
	"strings"

	"github.com/ratelimit-go/ratelimit/tools/internal/repo"
)

// lane is a list of modules that are tested in this order. Lanes run side by side.
type lane struct {
	why     string
	nice    bool // run at a lower priority than the other lanes
	modules []repo.Module
}

// plan divides modules into lanes. Tests with real servers measure waits, so that no two of them
// may run at once, and computations beside them must give way.
func plan(modules []repo.Module) []lane {
	waiting := lane{why: "mostly waiting for servers"}
	computing := lane{why: "computing, at low priority", nice: true}
	for _, m := range modules {
		if waits(m.Dir) {
			waiting.modules = append(waiting.modules, m)
		} else {
			computing.modules = append(computing.modules, m)
		}
	}
	var lanes []lane
	for _, l := range []lane{waiting, computing} {
		if len(l.modules) > 0 {
			lanes = append(lanes, l)
		}
	}
	return lanes
}

// waits reports whether the tests of the module in dir start servers or browsers.
func waits(dir string) bool {
	switch dir {
	case "examples/redis", "metrics/proof", "postgresstore",
		"proof/clients", "proof/dashboard", "proof/outbound":
		return true
	}
	return strings.HasPrefix(dir, "redisstore")
}

// goTest returns the command that tests the module in the current directory. make lint runs vet, so
// that it is not run again: with the race detector it would analyze all packages anew.
func goTest(race, nice bool) []string {
	command := []string{"go", "test", "-mod=readonly", "-vet=off", "-shuffle=on", "./..."}
	if race {
		command = append(command[:4:4], "-race", "-shuffle=on", "./...")
	}
	if nice {
		if path, err := exec.LookPath("nice"); err == nil {
			command = append([]string{path, "-n", "10"}, command...)
		}
	}
	return command
}
