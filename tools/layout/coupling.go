package main

import (
	"fmt"
	"go/token"
	"go/types"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"
)

// pair is two files of a package, with the names that each of them uses of the other.
type pair struct {
	a, b     string
	ofB, ofA []string // the names that a uses of b, and b of a
}

func (p pair) String() string {
	return fmt.Sprintf("%s uses %s of %s, which uses %s", p.a, some(p.ofB), p.b, some(p.ofA))
}

// some returns the first names of a list that may be long.
func some(names []string) string {
	const most = 6
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

// coupling returns the number of ordered pairs of files of which the first uses a package-level
// name, a method or a field that the second declares, and the pairs that are coupled both ways.
func coupling(pkg *packages.Package) (int, []pair) {
	uses := map[[2]string][]string{} // names by user and owner
	for ident, object := range pkg.TypesInfo.Uses {
		if object.Pkg() != pkg.Types || !isDeclaration(object) {
			continue
		}
		user, owner := fileOf(pkg, ident.Pos()), fileOf(pkg, object.Pos())
		if user == owner {
			continue
		}
		key := [2]string{user, owner}
		if name := object.Name(); !slices.Contains(uses[key], name) {
			uses[key] = append(uses[key], name)
		}
	}
	var mutual []pair
	for key, names := range uses {
		back := uses[[2]string{key[1], key[0]}]
		if key[0] < key[1] && len(back) > 0 {
			slices.Sort(names)
			slices.Sort(back)
			mutual = append(mutual, pair{a: key[0], b: key[1], ofB: names, ofA: back})
		}
	}
	slices.SortFunc(mutual, func(p, q pair) int { return strings.Compare(p.a+" "+p.b, q.a+" "+q.b) })
	return len(uses), mutual
}

// isDeclaration reports whether object is declared at package level, or is a method or a field.
func isDeclaration(object types.Object) bool {
	switch o := object.(type) {
	case *types.Var:
		if o.IsField() {
			return true
		}
	case *types.Func:
		return true // of the package, or a method
	}
	return object.Parent() == object.Pkg().Scope()
}

// fileOf returns the name of the file of a position.
func fileOf(pkg *packages.Package, pos token.Pos) string {
	return filepath.Base(pkg.Fset.Position(pos).Filename)
}
