// Layout measures how the code of the repository is laid out, and fails if a limit is exceeded.
//
//	usage: layout [-root DIR] [-figures]
//
// It prints a table of the packages of the root module: files, lines, comments, functions, exported
// names, and how many pairs of files use each other's names. With -figures it only prints.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
)

// Limits of every module.
const (
	maxFileLines = 300 // of a file that is not a test
	maxFuncLines = 60
)

// Limits of the package in the root directory.
const (
	maxRootFiles = 20
	maxRootLines = 4000
	maxRootNames = 120 // types, functions, methods, constants and variables, without fields
	maxRootPairs = 4   // pairs of files in which each file uses a name that the other declares
)

func main() {
	root := flag.String("root", "..", "the root of the repository")
	figures := flag.Bool("figures", false, "print the figures, and judge nothing")
	flag.Parse()

	broken, err := layout(os.Stdout, *root)
	if err != nil {
		fmt.Fprintln(os.Stderr, "layout:", err)
		os.Exit(2)
	}
	if *figures {
		return
	}
	for _, text := range broken {
		fmt.Fprintln(os.Stderr, "layout:", text)
	}
	if len(broken) > 0 {
		os.Exit(1)
	}
}

// layout prints the figures of the repository and returns a line per limit that is exceeded.
func layout(out io.Writer, root string) ([]string, error) {
	packages, err := load(root)
	if err != nil {
		return nil, err
	}
	all := make([]figures, len(packages))
	for i, pkg := range packages {
		all[i] = measure(pkg)
	}
	table(out, all)
	broken, err := checkFiles(root)
	if err != nil {
		return nil, err
	}
	for _, f := range all {
		if f.dir == "." {
			broken = append(broken, checkRoot(f)...)
		}
	}
	return broken, nil
}

// checkRoot compares the figures of the root package with their limits.
func checkRoot(f figures) []string {
	var broken []string
	for _, limit := range []struct {
		what     string
		got, max int
	}{
		{"source files", f.files, maxRootFiles},
		{"lines", f.lines, maxRootLines},
		{"exported names", f.names(), maxRootNames},
		{"pairs of files that use each other's names", len(f.mutual), maxRootPairs},
	} {
		if limit.got > limit.max {
			const text = "the root package has %d %s: want at most %d"
			broken = append(broken, fmt.Sprintf(text, limit.got, limit.what, limit.max))
		}
	}
	if len(f.mutual) > maxRootPairs {
		for _, pair := range f.mutual {
			broken = append(broken, pair.String())
		}
	}
	return broken
}
