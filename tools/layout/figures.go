package main

import (
	"bytes"
	"go/ast"
	"go/token"
	"go/types"
	"os"
	"slices"

	"golang.org/x/tools/go/packages"
)

// figures describe a package without its tests.
type figures struct {
	dir          string
	files, lines int
	comments     int   // lines that begin with a comment
	filled       int   // lines that are not blank
	funcs        []int // the lengths of all functions in lines, ascending

	types, functions, methods, constants, variables int // exported
	fields                                          int // exported, of exported structs

	pairs  int    // ordered pairs of files of which the first uses a name that the second declares
	mutual []pair // pairs of files that use each other's names
}

// names returns the number of exported names without fields.
func (f *figures) names() int {
	return f.types + f.functions + f.methods + f.constants + f.variables
}

// commentShare returns how many percent of the lines that are not blank begin with a comment.
func (f *figures) commentShare() int { return 100 * f.comments / max(1, f.filled) }

// funcLines returns the length of a function that is as long as a share p of all functions or
// longer.
func (f *figures) funcLines(p float64) int {
	if len(f.funcs) == 0 {
		return 0
	}
	return f.funcs[int(p*float64(len(f.funcs)-1))]
}

func measure(pkg *packages.Package) figures {
	f := figures{dir: dir(pkg), files: len(pkg.Syntax)}
	for _, file := range pkg.Syntax {
		f.countLines(pkg.Fset.Position(file.FileStart).Filename)
		for _, decl := range file.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok {
				f.funcs = append(f.funcs, length(pkg.Fset, fn))
			}
		}
	}
	slices.Sort(f.funcs)
	f.countNames(pkg.Types)
	f.pairs, f.mutual = coupling(pkg)
	return f
}

func (f *figures) countLines(name string) {
	text, err := os.ReadFile(name)
	if err != nil {
		return // the package was just loaded from it
	}
	f.lines += bytes.Count(text, []byte("\n"))
	for line := range bytes.Lines(text) {
		line = bytes.TrimSpace(line)
		if bytes.HasPrefix(line, []byte("//")) {
			f.comments++
		}
		if len(line) > 0 {
			f.filled++
		}
	}
}

// length returns how many lines fn has.
func length(fset *token.FileSet, fn *ast.FuncDecl) int {
	return fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1
}

func (f *figures) countNames(pkg *types.Package) {
	scope := pkg.Scope()
	for _, name := range scope.Names() {
		if !token.IsExported(name) {
			continue
		}
		switch object := scope.Lookup(name).(type) {
		case *types.Const:
			f.constants++
		case *types.Var:
			f.variables++
		case *types.Func:
			f.functions++
		case *types.TypeName:
			f.types++
			f.countMembers(object)
		}
	}
}

// countMembers counts the methods and fields that the declaration of a type has itself.
func (f *figures) countMembers(name *types.TypeName) {
	named, ok := name.Type().(*types.Named)
	if !ok || name.IsAlias() {
		return
	}
	for method := range named.Methods() {
		if method.Exported() {
			f.methods++
		}
	}
	if fields, ok := named.Underlying().(*types.Struct); ok {
		for field := range fields.Fields() {
			if field.Exported() {
				f.fields++
			}
		}
	}
}
