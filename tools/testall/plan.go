package main

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"

	"github.com/ratelimit-go/ratelimit/tools/internal/repo"
)

// lane is a list of modules that are tested in this order. Lanes run side by side.
type lane struct {
	why     string
	nice    int  // how much lower the priority of the lane is
	waiting bool // most tests that call t.Parallel wait
	modules []repo.Module
}

// plan divides modules into lanes. No two modules whose tests have tight bounds for time may run at
// once, and all other modules must give way.
func plan(modules []repo.Module) []lane {
	all := []lane{
		{why: "tight bounds for time", waiting: true},
		{why: "mostly waiting, wide bounds", nice: 5, waiting: true},
		{why: "computing", nice: 10},
	}
	for _, m := range modules {
		l := &all[2]
		switch {
		case tight(m.Dir):
			l = &all[0]
		case waits(m.Dir):
			l = &all[1]
		}
		l.modules = append(l.modules, m)
	}
	var lanes []lane
	for _, l := range all {
		if len(l.modules) > 0 {
			lanes = append(lanes, l)
		}
	}
	return lanes
}

// tight reports whether the tests of the module in dir break servers or drive a browser, and
// measure how soon something happens.
func tight(dir string) bool {
	switch dir {
	case "examples/redis", "postgresstore", "proof/clients", "proof/dashboard":
		return true
	}
	return strings.HasPrefix(dir, "redisstore")
}

// waits reports whether the tests of the module in dir wait for servers, and allow for a machine
// that is busy.
func waits(dir string) bool { return dir == "metrics/proof" || dir == "proof/outbound" }

// goTest returns the command that tests the module in the current directory. make lint runs vet, so
// that it is not run again: with the race detector it would analyze all packages anew.
func goTest(race bool, l lane) []string {
	command := []string{"go", "test", "-mod=readonly", "-vet=off", "-shuffle=on", "./..."}
	if race {
		command = slices.Insert(command, 4, "-race")
	}
	if l.waiting {
		command = slices.Insert(command, len(command)-1, "-parallel=4") // also on two processors
	}
	if l.nice > 0 {
		if path, err := exec.LookPath("nice"); err == nil {
			command = append([]string{path, "-n", fmt.Sprint(l.nice)}, command...)
		}
	}
	return command
}
