package main

import (
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ratelimit-go/ratelimit/tools/internal/repo"
)

func unique(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}

// uncommented returns a line per exported name of the package in dir that has no comment.
func uncommented(root, dir string) ([]string, error) {
	c := comments{fset: token.NewFileSet()}
	full := filepath.Join(root, filepath.FromSlash(dir))
	entries, err := os.ReadDir(full)
	if err != nil {
		return nil, err
	}
	var files []*ast.File
	for _, entry := range entries {
		if !repo.IsGo(entry.Name()) || repo.IsTest(entry.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(full, entry.Name()))
		if err != nil {
			return nil, err
		}
		name := strings.TrimPrefix(dir+"/"+entry.Name(), "./")
		file, err := parser.ParseFile(c.fset, name, text, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	pkg, err := doc.NewFromFiles(c.fset, files, dir)
	if err != nil {
		return nil, err
	}
	if pkg.Doc == "" {
		c.found = append(c.found, fmt.Sprintf("%s: package %s has no comment", dir, pkg.Name))
	}
	c.pkg(pkg)
	return c.found, nil
}

// comments collects names without a comment.
type comments struct {
	fset  *token.FileSet
	found []string
}

func (c *comments) need(text string, at token.Pos, name string) {
	if strings.TrimSpace(text) == "" {
		pos := c.fset.Position(at)
		c.found = append(c.found, fmt.Sprintf("%s:%d: %s has no comment", pos.Filename, pos.Line, name))
	}
}

func (c *comments) pkg(pkg *doc.Package) {
	c.values(pkg.Consts)
	c.values(pkg.Vars)
	c.funcs(pkg.Funcs)
	for _, typ := range pkg.Types {
		c.need(typ.Doc, typ.Decl.Pos(), typ.Name)
		c.values(typ.Consts)
		c.values(typ.Vars)
		c.funcs(typ.Funcs)
		c.funcs(typ.Methods)
		for _, spec := range typ.Decl.Specs {
			c.members(typ.Name, spec.(*ast.TypeSpec).Type)
		}
	}
}

func (c *comments) funcs(funcs []*doc.Func) {
	for _, fn := range funcs {
		name := fn.Name
		if fn.Recv != "" {
			name = strings.TrimPrefix(fn.Recv, "*") + "." + name
		}
		c.need(fn.Doc, fn.Decl.Pos(), name)
	}
}

// values takes the comment of a group for each value that has none.
func (c *comments) values(values []*doc.Value) {
	for _, value := range values {
		for _, spec := range value.Decl.Specs {
			spec := spec.(*ast.ValueSpec)
			text := value.Doc + spec.Doc.Text() + spec.Comment.Text()
			for _, name := range spec.Names {
				if name.IsExported() {
					c.need(text, name.Pos(), name.Name)
				}
			}
		}
	}
}

// members checks the fields of a struct and the methods of an interface. Fields on the lines right
// after a field with a comment share it. The comment of an interface is enough for a lone method.
func (c *comments) members(typ string, expr ast.Expr) {
	var list *ast.FieldList
	switch expr := expr.(type) {
	case *ast.StructType:
		list = expr.Fields
	case *ast.InterfaceType:
		list = expr.Methods
	}
	if _, ok := expr.(*ast.InterfaceType); list == nil || ok && len(list.List) == 1 {
		return
	}
	text, end := "", 0
	for _, field := range list.List {
		start := field.Pos()
		if field.Doc != nil {
			start = field.Doc.Pos()
		}
		own := field.Doc.Text() + field.Comment.Text()
		if own != "" || c.fset.Position(start).Line > end+1 {
			text = own
		}
		end = c.fset.Position(field.End()).Line
		for _, name := range field.Names {
			if name.IsExported() {
				c.need(text, name.Pos(), typ+"."+name.Name)
			}
		}
	}
}
