package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/tools/go/packages"
)

// load returns the type-checked packages of the module in root, without examples.
func load(root string) ([]*packages.Package, error) {
	all, err := packages.Load(&packages.Config{
		Dir: root,
		Env: append(os.Environ(), "GOWORK=off"),
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedImports |
			packages.NeedModule | packages.NeedTypes | packages.NeedSyntax | packages.NeedTypesInfo,
	}, "./...")
	if err != nil {
		return nil, err
	}
	var kept []*packages.Package
	for _, pkg := range all {
		for _, err := range pkg.Errors {
			return nil, fmt.Errorf("%s does not build: %w", pkg.PkgPath, err)
		}
		if pkg.Name != "main" && len(pkg.Syntax) > 0 {
			kept = append(kept, pkg)
		}
	}
	if len(kept) == 0 {
		return nil, errors.New("no package found")
	}
	return kept, nil
}

// dir returns the directory of a package relative to its module.
func dir(pkg *packages.Package) string {
	if pkg.Module == nil {
		return pkg.PkgPath
	}
	rel, err := filepath.Rel(pkg.Module.Path, pkg.PkgPath)
	if err != nil {
		return pkg.PkgPath
	}
	return filepath.ToSlash(rel)
}
