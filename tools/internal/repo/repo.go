// Package repo finds the modules and the files of this repository.
package repo

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Module is one Go module of the repository.
type Module struct {
	Dir  string // relative to the root, with slashes: "." or "redisstore/faults"
	Path string // the import path
}

// Modules returns the modules below root, sorted by directory.
func Modules(root string) ([]Module, error) {
	files, err := Files(root, func(name string) bool { return path.Base(name) == "go.mod" })
	if err != nil {
		return nil, err
	}
	modules := make([]Module, 0, len(files))
	for _, file := range files {
		name, err := modulePath(filepath.Join(root, filepath.FromSlash(file)))
		if err != nil {
			return nil, err
		}
		modules = append(modules, Module{Dir: path.Dir(file), Path: name})
	}
	slices.SortFunc(modules, func(a, b Module) int { return strings.Compare(a.Dir, b.Dir) })
	return modules, nil
}

// Files returns the files below root that keep accepts, as sorted relative paths with slashes.
// It leaves out testdata, and hidden directories except .github.
func Files(root string, keep func(name string) bool) ([]string, error) {
	var files []string
	err := filepath.WalkDir(root, func(full string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, full)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		switch {
		case entry.IsDir() && skipped(name):
			return filepath.SkipDir
		case !entry.IsDir() && keep(name):
			files = append(files, name)
		}
		return nil
	})
	return files, err
}

// IsGo reports whether name is a Go file.
func IsGo(name string) bool { return path.Ext(name) == ".go" }

// IsTest reports whether name is a Go test file.
func IsTest(name string) bool { return strings.HasSuffix(name, "_test.go") }

// IsMarkdown reports whether name is a Markdown file.
func IsMarkdown(name string) bool { return path.Ext(name) == ".md" }

func skipped(dir string) bool {
	base := path.Base(dir)
	hidden := strings.HasPrefix(base, ".") && base != "." && base != ".github"
	return hidden || base == "testdata"
}

// modulePath reads the module line of a go.mod file.
func modulePath(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if name, ok := strings.CutPrefix(lines.Text(), "module "); ok {
			return strings.TrimSpace(name), nil
		}
	}
	return "", fmt.Errorf("%s: no module line", file)
}
