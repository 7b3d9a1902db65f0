// Docs renders the documentation of every public package, and checks it.
//
//	usage: docs [-root DIR] [-out DIR]
//
// It fails if a package or an exported name has no comment, or if a relative link in a Markdown
// file leads nowhere.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/ratelimit-go/ratelimit/tools/internal/repo"
)

func main() {
	root := flag.String("root", "..", "the root of the repository")
	out := flag.String("out", filepath.Join(os.TempDir(), "ratelimit-docs"), "where to put the rendered text")
	flag.Parse()

	found, err := check(*root, *out)
	if err != nil {
		fmt.Fprintln(os.Stderr, "docs:", err)
		os.Exit(2)
	}
	for _, f := range found {
		fmt.Println(f)
	}
	if len(found) > 0 {
		fmt.Fprintf(os.Stderr, "docs: %d findings\n", len(found))
		os.Exit(1)
	}
}

func check(root, out string) ([]string, error) {
	dirs, err := publicPackages(root)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return nil, err
	}
	var found []string
	for _, dir := range dirs {
		missing, err := uncommented(root, dir)
		if err != nil {
			return nil, err
		}
		found = append(found, missing...)
		if err := render(root, dir, out); err != nil {
			return nil, err
		}
	}
	fmt.Printf("docs: %d packages rendered to %s\n", len(dirs), out)
	broken, err := checkLinks(root)
	return append(found, broken...), err
}

// publicPackages returns the directories of packages that users can import from a module that is
// released. Modules for tests, benchmarks and examples are for this repository alone.
func publicPackages(root string) ([]string, error) {
	files, err := repo.Files(root, func(name string) bool { return repo.IsGo(name) && !repo.IsTest(name) })
	if err != nil {
		return nil, err
	}
	var dirs []string
	for _, file := range files {
		dir := filepath.ToSlash(filepath.Dir(file))
		if len(dirs) > 0 && dirs[len(dirs)-1] == dir || !isPublic(dir) {
			continue
		}
		dirs = append(dirs, dir)
	}
	return unique(dirs), nil
}

func isPublic(dir string) bool {
	for _, private := range []string{
		"tools", "proof", "benchmarks", "examples", "redisstore/faults", "metrics/proof",
		"adapters/scenarios",
	} {
		if dir == private || strings.HasPrefix(dir, private+"/") {
			return false
		}
	}
	return !strings.Contains("/"+dir+"/", "/internal/")
}

// render writes what go doc prints about the package in dir to a file in out.
func render(root, dir, out string) error {
	cmd := exec.Command("go", "doc", "-all", ".")
	cmd.Dir = filepath.Join(root, filepath.FromSlash(dir))
	cmd.Env = append(os.Environ(), "GOWORK=off", "PWD="+cmd.Dir)
	text, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("go doc of %s: %w\n%s", dir, err, text)
	}
	name := strings.ReplaceAll(dir, "/", "_")
	if dir == "." {
		name = "root"
	}
	return os.WriteFile(filepath.Join(out, name+".txt"), text, 0o644)
}
