// Testall runs the tests of every module of the repository and counts them.
//
//	usage: testall [-root DIR] [-race] [-list] [DIR...]
//
// Each module is tested alone with plain go test. The modules are divided into lanes, which run
// side by side: modules with tight bounds for time, modules that wait, and modules that compute, at
// a lower priority. What a package says is printed when the package is done, in one piece. The last
// line is "total: N passed, N failed, N skipped".
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ratelimit-go/ratelimit/tools/internal/repo"
)

func main() {
	root := flag.String("root", "..", "the root of the repository")
	race := flag.Bool("race", false, "test with the race detector")
	list := flag.Bool("list", false, "list the modules and stop")
	flag.Parse()

	modules, err := chosen(*root, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "testall:", err)
		os.Exit(2)
	}
	if *list {
		for _, m := range modules {
			fmt.Println(m.Dir)
		}
		return
	}
	if !run(os.Stdout, *root, *race, modules) {
		os.Exit(1)
	}
}

// chosen returns the modules in dirs, or all modules if dirs is empty.
func chosen(root string, dirs []string) ([]repo.Module, error) {
	modules, err := repo.Modules(root)
	if err != nil || len(dirs) == 0 {
		return modules, err
	}
	var found []repo.Module
	for _, dir := range dirs {
		dir = strings.TrimPrefix(strings.TrimSuffix(dir, "/"), "./")
		i := slices.IndexFunc(modules, func(m repo.Module) bool { return m.Dir == dir })
		if i < 0 {
			return nil, fmt.Errorf("%s: no module is there", dir)
		}
		found = append(found, modules[i])
	}
	return found, nil
}

// run tests modules and reports whether all tests passed.
func run(out io.Writer, root string, race bool, modules []repo.Module) bool {
	start := time.Now()
	lanes := plan(modules)
	announce(out, race, lanes)

	var all totals
	screen := &screen{out: out}
	var wait sync.WaitGroup
	for _, lane := range lanes {
		wait.Go(func() {
			for _, m := range lane.modules {
				result := testModule(screen, root, m, goTest(race, lane))
				screen.Lock()
				all.add(result)
				screen.Unlock()
			}
		})
	}
	wait.Wait()
	all.print(out, time.Since(start))
	return all.failed == 0
}

func announce(out io.Writer, race bool, lanes []lane) {
	fmt.Fprintf(out, "make test: in each module: %s\n", strings.Join(goTest(race, lane{}), " "))
	for i, lane := range lanes {
		dirs := make([]string, len(lane.modules))
		for j, m := range lane.modules {
			dirs[j] = m.Dir
		}
		fmt.Fprintf(out, "make test: lane %d, %s: %s\n", i+1, lane.why, strings.Join(dirs, ", "))
	}
}

// screen lets lanes print whole pieces of text.
type screen struct {
	sync.Mutex
	out io.Writer
}

func (s *screen) print(text string) {
	s.Lock()
	defer s.Unlock()
	_, _ = io.WriteString(s.out, text)
}
