package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A mutant is one change of one file.
type mutant struct {
	dir        string // of the package, below the module
	file       string // below the module
	at         string // file and line
	what       string // the change
	begin, end int    // offsets of the text that changes
	text       string // instead of it
}

// instead says which operators replace an operator.
var instead = map[token.Token][]token.Token{
	token.EQL: {token.NEQ}, token.NEQ: {token.EQL},
	token.LSS: {token.LEQ, token.GEQ}, token.LEQ: {token.LSS, token.GTR},
	token.GTR: {token.GEQ, token.LEQ}, token.GEQ: {token.GTR, token.LSS},
	token.LAND: {token.LOR}, token.LOR: {token.LAND},
	token.ADD: {token.SUB}, token.SUB: {token.ADD}, token.MUL: {token.QUO}, token.QUO: {token.MUL},
	token.ADD_ASSIGN: {token.SUB_ASSIGN}, token.SUB_ASSIGN: {token.ADD_ASSIGN},
}

// mutantsOf returns all mutants of the package in dir, below root.
func mutantsOf(root, dir string) ([]mutant, error) {
	names, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
	if err != nil {
		return nil, err
	}
	var all []mutant
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		set := token.NewFileSet()
		tree, err := parser.ParseFile(set, name, text, 0)
		if err != nil {
			return nil, err
		}
		f := file{set: set, text: text, dir: dir, name: filepath.Join(dir, filepath.Base(name))}
		ast.Inspect(tree, f.visit)
		all = append(all, f.mutants...)
	}
	return all, nil
}

// A file collects the mutants of one file.
type file struct {
	set     *token.FileSet
	text    []byte
	dir     string
	name    string
	mutants []mutant
}

func (f *file) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.GenDecl: // imports, types and constants
		return n.Tok == token.CONST || n.Tok == token.VAR
	case *ast.BinaryExpr:
		for _, op := range instead[n.Op] {
			f.replace(n.OpPos, n.OpPos+token.Pos(len(n.Op.String())), op.String())
		}
	case *ast.AssignStmt:
		for _, op := range instead[n.Tok] {
			f.replace(n.TokPos, n.TokPos+token.Pos(len(n.Tok.String())), op.String())
		}
		if n.Tok == token.ASSIGN {
			f.replace(n.Pos(), n.End(), "")
		}
	case *ast.IncDecStmt, *ast.DeferStmt:
		f.replace(n.Pos(), n.End(), "")
	case *ast.ExprStmt:
		f.replace(n.Pos(), n.End(), "")
	case *ast.IfStmt:
		f.replace(n.Cond.Pos(), n.Cond.End(), "!("+f.source(n.Cond.Pos(), n.Cond.End())+")")
	case *ast.BasicLit:
		if v, err := strconv.Atoi(n.Value); err == nil && n.Kind == token.INT {
			f.replace(n.Pos(), n.End(), strconv.Itoa(v+1))
		}
	case *ast.Ident:
		switch n.Name {
		case "true":
			f.replace(n.Pos(), n.End(), "false")
		case "false":
			f.replace(n.Pos(), n.End(), "true")
		}
	}
	return true
}

func (f *file) source(begin, end token.Pos) string {
	return string(f.text[f.set.Position(begin).Offset:f.set.Position(end).Offset])
}

func (f *file) replace(begin, end token.Pos, text string) {
	from := f.set.Position(begin)
	old, _, _ := strings.Cut(f.source(begin, end), "\n")
	what := fmt.Sprintf("%s -> %s", old, text)
	if text == "" {
		what = "without " + old
	}
	f.mutants = append(f.mutants, mutant{
		dir: f.dir, file: f.name, at: fmt.Sprintf("%s:%d:%d", f.name, from.Line, from.Column), what: what,
		begin: from.Offset, end: f.set.Position(end).Offset, text: text,
	})
}
