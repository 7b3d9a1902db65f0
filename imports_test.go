package ratelimit_test

import (
	"errors"
	"go/build"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const modulePath = "github.com/ratelimit-go/ratelimit"

// mayImport has the packages of this module that each package may import. Imports point down only:
// a package stands below all packages that import it. A new arrow needs a reason in DESIGN.md.
var mayImport = map[string][]string{
	// The ground
	"internal/pace":      {},
	"internal/key":       {},
	"internal/limittext": {"internal/pace"},
	"internal/recorder":  {},
	"internal/respond":   {"internal/copied"},
	"internal/routes":    {},
	"internal/mode":      {},
	"internal/report":    {},
	"internal/refund":    {},
	"internal/named":     {},
	"internal/topk":      {},
	"internal/fanout":    {},
	"internal/copied":    {},
	"internal/told":      {},
	"internal/apilist":   {}, // for tests
	"internal/testsize":  {}, // for tests

	// Stores
	"store":              {"internal/pace", "internal/key"},
	"stats":              {"store"},
	"internal/tally":     {"stats"},
	"internal/memory":    {"store", "stats", "internal/key", "internal/tally"},
	"internal/guard":     {"store", "stats", "internal/pace", "internal/key"},
	"internal/blocks":    {"store", "internal/key"},
	"internal/inflight":  {"store", "internal/key"},
	"internal/rank":      {"store"},
	"internal/verdict":   {"store", "internal/pace", "internal/rank", "internal/respond", "internal/tally"},
	"internal/deploy":    {"clientip"},
	"internal/listed":    {"clientip", "internal/key", "internal/keyer", "internal/report"},
	"internal/turns":     {"internal/key", "internal/pace"},
	"internal/labels":    {"internal/key"},
	"internal/keyer":     {"clientip", "internal/key", "internal/routes", "internal/labels", "internal/copied"},
	"storetest":          {"store", "internal/key"},
	"internal/storefake": {"store"}, // for tests

	// What users import
	"clientip": {},
	"shed":     {"internal/respond", "internal/report", "internal/refund", "internal/routes"},
	".": {
		"clientip", "store", "internal/pace", "internal/key", "internal/limittext", "internal/recorder", "internal/respond",
		"internal/report", "internal/refund", "internal/memory", "internal/guard", "internal/blocks", "internal/inflight",
		"internal/rank", "internal/mode", "internal/keyer", "internal/routes", "internal/named", "internal/deploy", "internal/listed",
		"internal/turns", "internal/tally", "internal/fanout", "internal/labels", "internal/verdict", "internal/copied", "stats",
	},
	"logs":          {"."},
	"ratelimittest": {"store"},
	"support":       {"."},
	"browser":       {".", "internal/respond", "internal/routes"},
	"login":         {".", "clientip", "store"},
	"outbound":      {".", "internal/inflight", "internal/report", "internal/told"},
	"rpclimit":      {".", "clientip", "store", "internal/guard", "internal/inflight", "internal/report", "internal/respond"},
	"dashboard": {
		".", "internal/key", "internal/mode", "internal/refund", "internal/report", "internal/topk", "login", "stats", "store",
		"support",
	},
	"tokenbudget": {".", "store", "internal/report", "internal/respond", "internal/routes"},

	"tokenbudget/budgettest": {".", "store", "tokenbudget"}, // for tests of stores
}

// testsMayImport has what the tests of a package may import, beside the package itself and what
// mayImport allows. Only tests of packages above the root, and of storetest, know the root.
var testsMayImport = map[string][]string{
	"internal/pace":   {"internal/testsize"},
	"internal/key":    {"internal/testsize"},
	"internal/topk":   {"internal/testsize"},
	"internal/routes": {"internal/testsize"},
	"store":           {"storetest", "internal/testsize"},
	"rpclimit":        {"storetest"},
	"internal/memory": {"storetest", "internal/testsize"},
	"internal/guard":  {"storetest", "internal/memory", "internal/storefake", "internal/testsize"},
	"clientip":        {"internal/testsize"},
	"storetest":       {".", "internal/memory", "internal/storefake"},
	"shed":            {"."}, // shed refunds what a limiter around it has charged
	".":               {"login", "shed", "storetest", "internal/apilist", "internal/storefake", "internal/testsize"},
	"login":           {"storetest", "internal/storefake", "internal/testsize"},
	"outbound":        {"internal/testsize"},
	"ratelimittest":   {".", "storetest"},
	"support":         {"ratelimittest"},
	"dashboard":       {"ratelimittest"},
	"tokenbudget":     {"tokenbudget/budgettest"},
}

// TestImportsPointDown fails on an import that the tables above do not have, on a package that
// mayImport does not have, and on an entry of mayImport that is not used.
func TestImportsPointDown(t *testing.T) {
	packages := packagesOfModule(t)
	for dir := range mayImport {
		if packages[dir] == nil {
			t.Errorf("mayImport has %s, which is no package of this module", dir)
		}
	}
	for dir, pkg := range packages {
		allowed, ok := mayImport[dir]
		if !ok {
			t.Errorf("%s is not in mayImport: add it, with all packages that it may import", dir)
			continue
		}
		for _, name := range allowed {
			if !slices.Contains(insideModule(pkg.Imports), name) {
				t.Errorf("mayImport lets %s import %s, but it does not", dir, name)
			}
		}
		for _, name := range insideModule(pkg.Imports) {
			if !slices.Contains(allowed, name) {
				t.Errorf("%s imports %s, which mayImport does not allow", dir, name)
			}
		}
		allowed = slices.Concat(allowed, testsMayImport[dir], []string{dir})
		for _, name := range insideModule(slices.Concat(pkg.TestImports, pkg.XTestImports)) {
			if !slices.Contains(allowed, name) {
				t.Errorf("a test of %s imports %s, which testsMayImport does not allow", dir, name)
			}
		}
	}
}

// TestExamplesImportNothingInternal holds examples to what their readers can do.
func TestExamplesImportNothingInternal(t *testing.T) {
	dirs, err := filepath.Glob("examples/*")
	require.NoError(t, err)
	for _, dir := range dirs {
		pkg, err := build.ImportDir(dir, 0)
		if err != nil {
			continue // no package
		}
		for _, name := range insideModule(slices.Concat(pkg.Imports, pkg.TestImports, pkg.XTestImports)) {
			assert.NotContains(t, name, "internal/", "imports of %s", dir)
		}
	}
}

// packagesOfModule returns the packages of this module by directory, without examples.
func packagesOfModule(t *testing.T) map[string]*build.Package {
	t.Helper()
	packages := map[string]*build.Package{}
	require.NoError(t, filepath.WalkDir(".", func(dir string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		name := path.Base(filepath.ToSlash(dir))
		_, noModule := os.Stat(filepath.Join(dir, "go.mod"))
		if dir != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "examples" || noModule == nil) {
			return filepath.SkipDir
		}
		pkg, err := build.ImportDir(dir, 0)
		var none *build.NoGoError
		if errors.As(err, &none) {
			return nil
		}
		packages[filepath.ToSlash(dir)] = pkg
		return err
	}))
	return packages
}

// insideModule returns the directories of those imports that belong to this module.
func insideModule(imports []string) []string {
	dirs := []string{}
	for _, name := range imports {
		if name == modulePath {
			dirs = append(dirs, ".")
		} else if dir, ok := strings.CutPrefix(name, modulePath+"/"); ok {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}
