package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// A fate is what became of a mutant.
type fate int

const (
	dies      fate = iota // a test fails
	lives                 // all tests pass
	stillborn             // it does not compile
)

// try runs the tests on m, until one fails.
func (o options) try(ctx context.Context, m mutant) (fate, error) {
	overlay, err := m.write(o.root)
	if err != nil {
		return dies, err
	}
	defer func() { _ = os.RemoveAll(filepath.Dir(overlay)) }()
	for i, pkg := range append([]string{m.dir}, o.tests...) {
		if i > 0 && pkg == m.dir {
			continue
		}
		out, err := o.test(ctx, overlay, pkg)
		switch {
		case bytes.Contains(out, []byte("[build failed]")):
			return stillborn, nil
		case err != nil:
			return dies, nil // a test that fails is what it looks for
		}
	}
	return lives, nil
}

// pass returns an error if a test fails without a change: every mutant would seem to be found. So
// it would with a package that go test does not know, such as memory instead of ./memory.
func (o options) pass(ctx context.Context, packages []string) error {
	for _, pkg := range append(packages[:len(packages):len(packages)], o.tests...) {
		if out, err := o.test(ctx, "", pkg); err != nil {
			return fmt.Errorf("go test %s fails without a change: %w\n%s", pkg, err, out)
		}
	}
	return nil
}

// test runs the tests of one package with an overlay. The error says that a test failed.
func (o options) test(ctx context.Context, overlay, pkg string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-short", "-failfast", "-vet=off",
		"-timeout", o.timeout.String(), "-overlay", overlay, pkg)
	cmd.Dir = o.root
	return cmd.CombinedOutput()
}

// write writes the changed file and an overlay that names it, and returns the name of the overlay.
func (m mutant) write(root string) (string, error) {
	original, err := absolute(root, m.file)
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(original)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return "", err
	}
	changed := filepath.Join(dir, "mutant.go")
	text = append(text[:m.begin:m.begin], append([]byte(m.text), text[m.end:]...)...)
	if err := os.WriteFile(changed, text, 0o600); err != nil {
		return "", err
	}
	data, err := json.Marshal(map[string]map[string]string{"Replace": {original: changed}})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, data, 0o600)
}
