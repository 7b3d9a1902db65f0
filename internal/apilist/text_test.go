package apilist

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLinesOfAPackage(t *testing.T) {
	const source = `package p

const (
	A, b Kind = 1 << iota, 0
	_, _
	C, d
	D = "text"
)

var (
	Err  error
	X, y = 1, 2
)

type Kind uint8

func (Kind) String() string { return "" }

type Text = string

type Config[K comparable, V any] struct {
	_ [0]func()

	Name, Other string
	Func        func(a, b int, rest ...K) (n int, err error)
	hidden      int
	Kind
	*hiddenPart
}

func (c *Config[K, V]) Close()   {}
func (c *Config[K, V]) private() {}

type hiddenPart struct{}

func (hiddenPart) Promoted(x struct{ Y int }) {}
func (hiddenPart) private()                   {}

type Store interface {
	Apply(m map[string][]byte, c <-chan interface{ Done() }) error
	hidden()
	error
}

func New(cfg Config[string, int]) (c *Config[string, int], err error) { return nil, nil }
func private()                                                        {}
`
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "p.go", source, parser.SkipObjectResolution)
	require.NoError(t, err)
	pkg, err := new(types.Config).Check("p", fset, []*ast.File{file}, nil)
	require.NoError(t, err)

	require.Equal(t, []string{
		`pkg p, const A Kind = 1`,
		`pkg p, const C Kind = 4`,
		`pkg p, const D = "text"`,
		`pkg p, func New(Config[string, int]) (*Config[string, int], error)`,
		`pkg p, method (*Config) Close()`,
		`pkg p, method (Config) Promoted(struct{Y int})`,
		`pkg p, method (Config) String() string`,
		`pkg p, method (Kind) String() string`,
		`pkg p, type Config[K comparable, V any] struct`,
		`pkg p, type Config[K comparable, V any] struct, Func func(int, int, ...K) (int, error)`,
		`pkg p, type Config[K comparable, V any] struct, Name string`,
		`pkg p, type Config[K comparable, V any] struct, Other string`,
		`pkg p, type Config[K comparable, V any] struct, embedded Kind`,
		`pkg p, type Kind uint8`,
		`pkg p, type Store interface`,
		`pkg p, type Store interface, Apply(map[string][]byte, <-chan interface{Done()}) error`,
		`pkg p, type Store interface, Error() string`,
		`pkg p, type Store interface, unexported methods`,
		`pkg p, type Text = string`,
		`pkg p, var Err error`,
		`pkg p, var X int`,
	}, packageLines(pkg))
}
