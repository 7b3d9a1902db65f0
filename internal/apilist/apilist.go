// Package apilist writes what the packages of a module export, one line per name. Tests compare it
// with a golden list.
package apilist

import (
	"errors"
	"fmt"
	"go/importer"
	"go/token"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// Module returns the sorted lines of every package in the module of dir that other modules can use.
// Examples are left out. With race it reads packages that were built for the race detector.
func Module(dir string, race bool) ([]string, error) {
	packages, err := list(dir, race)
	if err != nil {
		return nil, err
	}
	exports := map[string]string{}
	for _, pkg := range packages {
		exports[pkg.path] = pkg.export
	}
	load := importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(exports[path])
	})
	var lines []string
	for _, pkg := range packages {
		if !pkg.public() {
			continue
		}
		// go test runs a cached test again if a directory has changed that the test has read.
		if _, err := os.ReadDir(pkg.dir); err != nil {
			return nil, err
		}
		types, err := load.Import(pkg.path)
		if err != nil {
			return nil, err
		}
		lines = append(lines, packageLines(types)...)
	}
	slices.Sort(lines)
	return lines, nil
}

// listed is a package as go list shows it.
type listed struct {
	path, name string
	dir        string // empty for a dependency from another module
	export     string // the file that has the export data
}

func (p listed) public() bool {
	return p.dir != "" && p.name != "main" &&
		!strings.Contains(p.path+"/", "/internal/") && !strings.Contains(p.path, "/examples/")
}

// list returns the packages of the module of dir, and all that they depend on.
func list(dir string, race bool) ([]listed, error) {
	const format = "{{.ImportPath}}\t{{.Name}}\t{{.Export}}\t{{if not .DepOnly}}{{.Dir}}{{end}}"
	args := []string{"list", "-export", "-deps", "-f", format}
	if race {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "./...")...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		var failed *exec.ExitError
		if errors.As(err, &failed) {
			err = fmt.Errorf("go list: %w\n%s", err, failed.Stderr)
		}
		return nil, err
	}
	var packages []listed
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		packages = append(packages, listed{path: f[0], name: f[1], export: f[2], dir: f[3]})
	}
	return packages, nil
}
