package apilist

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// packageLines returns a sorted line for each thing that pkg exports.
func packageLines(pkg *types.Package) []string {
	a := api{pkg: pkg}
	for _, name := range pkg.Scope().Names() {
		if token.IsExported(name) {
			a.object(pkg.Scope().Lookup(name))
		}
	}
	slices.Sort(a.lines)
	return a.lines
}

// api collects the lines of one package.
type api struct {
	pkg   *types.Package
	lines []string
}

func (a *api) add(format string, args ...any) {
	a.lines = append(a.lines, "pkg "+a.pkg.Name()+", "+fmt.Sprintf(format, args...))
}

func (a *api) object(object types.Object) {
	switch object := object.(type) {
	case *types.Const:
		text := " " + a.text(object.Type())
		if basic, ok := object.Type().(*types.Basic); ok && basic.Info()&types.IsUntyped != 0 {
			text = ""
		}
		a.add("const %s%s = %s", object.Name(), text, object.Val().ExactString())
	case *types.Var:
		a.add("var %s %s", object.Name(), a.text(object.Type()))
	case *types.Func:
		a.add("func %s", a.signature(object))
	case *types.TypeName:
		a.typeName(object)
	}
}

// typeName adds a type with its fields and methods. The methods of an alias are listed only if the
// package of its type is internal, as they appear nowhere else then.
func (a *api) typeName(name *types.TypeName) {
	if name.IsAlias() {
		target := types.Unalias(name.Type())
		a.add("type %s = %s", name.Name(), a.text(target))
		named, ok := target.(*types.Named)
		if ok && named.Obj().Pkg() != nil && strings.Contains(named.Obj().Pkg().Path(), "/internal/") {
			a.methods(name.Name(), target)
		}
		return
	}
	text := a.text(name.Type())
	switch under := name.Type().Underlying().(type) {
	case *types.Interface:
		a.add("type %s interface", text)
		for method := range under.Methods() {
			if method.Exported() {
				a.add("type %s interface, %s", text, a.signature(method))
			} else {
				a.add("type %s interface, unexported methods", text) // others cannot implement it
			}
		}
		return
	case *types.Struct:
		a.add("type %s struct", text)
		for field := range under.Fields() {
			switch {
			case field.Exported() && field.Embedded():
				a.add("type %s struct, embedded %s", text, a.text(field.Type()))
			case field.Exported():
				a.add("type %s struct, %s %s", text, field.Name(), a.text(field.Type()))
			}
		}
	default:
		a.add("type %s %s", text, a.text(under))
	}
	a.methods(name.Name(), name.Type())
}

// methods adds the exported methods of a type, promoted ones too.
func (a *api) methods(name string, typ types.Type) {
	ofValue := types.NewMethodSet(typ)
	for selection := range types.NewMethodSet(types.NewPointer(typ)).Methods() {
		method := selection.Obj().(*types.Func)
		receiver := "*" + name
		if ofValue.Lookup(a.pkg, method.Name()) != nil {
			receiver = name
		}
		if method.Exported() {
			a.add("method (%s) %s", receiver, a.signature(method))
		}
	}
}

// signature returns the name of a function with its parameters and results.
func (a *api) signature(fn *types.Func) string {
	return fn.Name() + strings.TrimPrefix(a.text(fn.Type()), "func")
}

// text writes a type without names of parameters, which promise nothing.
func (a *api) text(typ types.Type) string {
	text := types.TypeString(typ, func(pkg *types.Package) string {
		if pkg == a.pkg {
			return ""
		}
		return pkg.Name()
	})
	expr, err := parser.ParseExpr(text)
	if err != nil {
		return text // such as the type parameters of a declaration
	}
	ast.Inspect(expr, dropParameterNames)
	return types.ExprString(expr)
}

// dropParameterNames makes func(a, b int) func(int, int).
func dropParameterNames(n ast.Node) bool {
	fn, ok := n.(*ast.FuncType)
	if !ok {
		return true
	}
	for _, fields := range []*ast.FieldList{fn.Params, fn.Results} {
		if fields == nil {
			continue
		}
		var unnamed []*ast.Field
		for _, field := range fields.List {
			for range max(1, len(field.Names)) {
				unnamed = append(unnamed, &ast.Field{Type: field.Type})
			}
		}
		fields.List = unnamed
	}
	return true
}
