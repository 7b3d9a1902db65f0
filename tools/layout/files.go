package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"

	"github.com/ratelimit-go/ratelimit/tools/internal/repo"
)

// checkFiles returns a line per source file of any module that is too long, or has a function that
// is too long.
func checkFiles(root string) ([]string, error) {
	files, err := repo.Files(root, func(name string) bool { return repo.IsGo(name) && !repo.IsTest(name) })
	if err != nil {
		return nil, err
	}
	var broken []string
	for _, name := range files {
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			return nil, err
		}
		long, err := checkFile(name, text)
		if err != nil {
			return nil, err
		}
		broken = append(broken, long...)
	}
	return broken, nil
}

func checkFile(name string, text []byte) ([]string, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, text, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var broken []string
	if n := bytes.Count(text, []byte("\n")); n > maxFileLines {
		broken = append(broken, fmt.Sprintf("%s has %d lines: want at most %d", name, n, maxFileLines))
	}
	for _, decl := range file.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if n := length(fset, fn); n > maxFuncLines {
			broken = append(broken, fmt.Sprintf("%s:%d: %s has %d lines: want at most %d",
				name, fset.Position(fn.Pos()).Line, fn.Name.Name, n, maxFuncLines))
		}
	}
	return broken, nil
}
