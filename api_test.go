package ratelimit_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

const goldenAPI = "testdata/api.txt"

// TestAPI compares the exported API with what was last agreed on, so that no
// name appears, changes or goes unnoticed.
func TestAPI(t *testing.T) {
	api := slices.Concat(packageAPI(t, "."), packageAPI(t, "storetest"))
	if *update {
		require.NoError(t, os.WriteFile(goldenAPI, []byte(strings.Join(api, "\n")+"\n"), 0o644))
	}
	golden, err := os.ReadFile(goldenAPI)
	require.NoError(t, err)
	agreed := strings.FieldsFunc(string(golden), func(c rune) bool { return c == '\n' || c == '\r' })

	var diff []string
	for _, line := range agreed {
		if !slices.Contains(api, line) {
			diff = append(diff, "- "+line)
		}
	}
	for _, line := range api {
		if !slices.Contains(agreed, line) {
			diff = append(diff, "+ "+line)
		}
	}
	if len(diff) > 0 {
		t.Fatalf("the exported API is not that of %s:\n%s\n"+
			"A line with - breaks programs that use it. If that is meant, run make api, and tell it in CHANGELOG.md.",
			goldenAPI, strings.Join(diff, "\n"))
	}
	require.Equal(t, agreed, api, "%s is out of order: run make api", goldenAPI)
}

// TestAPIText pins how declarations are written in the golden file: by their
// meaning, whatever their layout.
func TestAPIText(t *testing.T) {
	const source = `package p

import "time"

const (
	A, b Kind = 1 << iota, 0
	_, _
	C, d
	D = Kind(7)
)

const Wait = 5 *
	time.Second

var (
	Err     = errors.New("text")
	X, y int
)

type Kind uint8

func (Kind) String() string { return "" }

type Text = string

type Config[K comparable, V any] struct {
	_ [0]func()

	Name, Other string
	Func        func(
		a, b int,
		rest ...K,
	) (n int, err error)
	hidden int
	Kind
	*hiddenPart
}

func (c *Config[K, V]) Close() {}
func (c *Config[K, V]) private() {}

type hiddenPart struct{}

func (hiddenPart) Promoted(x struct{ Y int }) {}
func (hiddenPart) private() {}

type Store interface {
	Apply(m map[string][]byte, c <-chan interface{ Done() }) error
	hidden()
	error
}

func New[K comparable](cfg Config[K, int]) (*Config[K, int], error) { return nil, nil }
func private() {}
`
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "p.go", source, parser.ParseComments)
	require.NoError(t, err)

	require.Equal(t, []string{
		"pkg p, const A Kind = 1",
		"pkg p, const C Kind = 4",
		"pkg p, const D = Kind(7)",
		"pkg p, const Wait = 5 * time.Second",
		"pkg p, func New[K comparable](Config[K, int]) (*Config[K, int], error)",
		"pkg p, method (*Config[K, V]) Close()",
		"pkg p, method (Config) Promoted(struct{Y int})",
		"pkg p, method (Kind) String() string",
		"pkg p, type Config[K comparable, V any] struct",
		"pkg p, type Config[K comparable, V any] struct, Func func(int, int, ...K) (int, error)",
		"pkg p, type Config[K comparable, V any] struct, Name string",
		"pkg p, type Config[K comparable, V any] struct, Other string",
		"pkg p, type Config[K comparable, V any] struct, embedded Kind",
		"pkg p, type Kind uint8",
		"pkg p, type Store interface",
		"pkg p, type Store interface, Apply(map[string][]byte, <-chan interface{Done()}) error",
		"pkg p, type Store interface, embedded error",
		"pkg p, type Store interface, unexported methods",
		"pkg p, type Text = string",
		"pkg p, var Err = errors.New(...)",
		"pkg p, var X int",
	}, filesAPI(t, fset, []*ast.File{file}))
}

// packageAPI returns the lines of the package in dir, none if there is no dir.
func packageAPI(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
		require.NoError(t, err)
		files = append(files, file)
	}
	if len(files) == 0 {
		return nil
	}
	return filesAPI(t, fset, files)
}

// filesAPI returns one line for each thing the package of files exports, sorted.
func filesAPI(t *testing.T, fset *token.FileSet, files []*ast.File) []string {
	t.Helper()
	for _, file := range files {
		ast.Inspect(file, dropParameterNames)
	}
	// The declarations have to be whole, as the value of iota is a position.
	pkg, err := doc.NewFromFiles(fset, files, ".", doc.AllDecls|doc.PreserveAST)
	require.NoError(t, err)

	a := apiLines{pkg: pkg.Name}
	a.values(pkg.Consts)
	a.values(pkg.Vars)
	a.funcs(pkg.Funcs)
	for _, typ := range pkg.Types {
		a.values(typ.Consts)
		a.values(typ.Vars)
		a.funcs(typ.Funcs)
		if !token.IsExported(typ.Name) {
			continue
		}
		a.funcs(typ.Methods)
		for _, spec := range typ.Decl.Specs {
			a.typeSpec(spec.(*ast.TypeSpec))
		}
	}
	slices.Sort(a.lines)
	return a.lines
}

// dropParameterNames makes func(a, b int) func(int, int): names of parameters
// promise nothing.
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

// apiLines are lines of the golden file.
type apiLines struct {
	pkg   string
	lines []string
}

func (a *apiLines) add(format string, args ...any) {
	a.lines = append(a.lines, "pkg "+a.pkg+", "+fmt.Sprintf(format, args...))
}

func (a *apiLines) values(values []*doc.Value) {
	for _, value := range values {
		var last *ast.ValueSpec // what a constant without a value repeats
		for i, spec := range value.Decl.Specs {
			spec := spec.(*ast.ValueSpec)
			if last == nil || spec.Type != nil || spec.Values != nil {
				last = spec
			}
			for j, name := range spec.Names {
				if name.IsExported() {
					a.add("%s %s%s", value.Decl.Tok, name.Name, valueText(value.Decl.Tok, last, i, j))
				}
			}
		}
	}
}

var iotaWord = regexp.MustCompile(`\biota\b`)

// valueText returns the type and value that spec, as the index-th of its declaration,
// gives its j-th name. Of a call that a variable is set to only the function is
// shown, as a hint at the type.
func valueText(tok token.Token, spec *ast.ValueSpec, index, j int) string {
	typ := ""
	if spec.Type != nil {
		typ = " " + types.ExprString(spec.Type)
	}
	if j >= len(spec.Values) {
		return typ
	}
	if call, ok := spec.Values[j].(*ast.CallExpr); ok && tok == token.VAR {
		return typ + " = " + types.ExprString(call.Fun) + "(...)"
	}
	value := iotaWord.ReplaceAllString(types.ExprString(spec.Values[j]), strconv.Itoa(index))
	if known, err := types.Eval(token.NewFileSet(), nil, token.NoPos, value); err == nil && known.Value != nil {
		value = known.Value.ExactString()
	}
	return typ + " = " + value
}

func (a *apiLines) funcs(funcs []*doc.Func) {
	for _, fn := range funcs {
		if !token.IsExported(fn.Name) {
			continue
		}
		name := fn.Name + typeParams(fn.Decl.Type.TypeParams)
		if fn.Recv == "" {
			a.add("func %s", signature(name, fn.Decl.Type))
		} else {
			a.add("method (%s) %s", fn.Recv, signature(name, fn.Decl.Type))
		}
	}
}

func (a *apiLines) typeSpec(spec *ast.TypeSpec) {
	name := spec.Name.Name + typeParams(spec.TypeParams)
	if spec.Assign.IsValid() {
		name += " ="
	}
	switch typ := spec.Type.(type) {
	case *ast.StructType:
		a.add("type %s struct", name)
		a.fields("type "+name+" struct", typ.Fields)
	case *ast.InterfaceType:
		a.add("type %s interface", name)
		a.fields("type "+name+" interface", typ.Methods)
	default:
		a.add("type %s %s", name, types.ExprString(typ))
	}
}

// fields adds the exported fields of a struct, or the methods of an interface, in
// which unexported ones matter as well: nobody else can implement it.
func (a *apiLines) fields(of string, fields *ast.FieldList) {
	for _, field := range fields.List {
		fn, isMethod := field.Type.(*ast.FuncType)
		isMethod = isMethod && strings.HasSuffix(of, " interface")
		for _, name := range field.Names {
			switch {
			case isMethod && name.IsExported():
				a.add("%s, %s", of, signature(name.Name, fn))
			case isMethod:
				a.add("%s, unexported methods", of)
			case name.IsExported():
				a.add("%s, %s %s", of, name.Name, types.ExprString(field.Type))
			}
		}
		if text := types.ExprString(field.Type); len(field.Names) == 0 && isExportedType(text) {
			a.add("%s, embedded %s", of, text)
		}
	}
}

// isExportedType reports whether text, *T or pkg.T or T[P], names a type that
// others can name: an exported or a predeclared one.
func isExportedType(text string) bool {
	text, _, _ = strings.Cut(strings.TrimPrefix(text, "*"), "[")
	name := text[strings.LastIndexByte(text, '.')+1:]
	return token.IsExported(name) || types.Universe.Lookup(name) != nil
}

// signature returns name and the parameters and results of fn.
func signature(name string, fn *ast.FuncType) string {
	return name + strings.TrimPrefix(types.ExprString(fn), "func")
}

// typeParams returns a list of type parameters in brackets, or nothing.
func typeParams(params *ast.FieldList) string {
	if params == nil {
		return ""
	}
	var list []string
	for _, param := range params.List {
		for _, name := range param.Names {
			list = append(list, name.Name+" "+types.ExprString(param.Type))
		}
	}
	return "[" + strings.Join(list, ", ") + "]"
}
