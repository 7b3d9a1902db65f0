package policyfile

import (
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// maxMistakes is how many mistakes Parse reports.
const maxMistakes = 100

// Parse reads a policy from data, which is YAML or JSON, and checks it. The error is [Mistakes]:
// all mistakes at once, up to 100. The data has at most 1 MiB.
//
// Parse calls no function of the options except Keyers. It does not call the Store.
func Parse(data []byte, options Options) (*File, error) {
	top, mistake := load(data)
	if mistake != nil {
		return nil, Mistakes{mistake}
	}
	d := decoder{places: places{values: map[string]*yaml.Node{}}}
	d.failed, d.within = map[string]bool{}, map[string]bool{}
	d.lines = strings.Split(strings.TrimPrefix(string(data), "\ufeff"), "\n")
	d.fields = map[reflect.Type]map[string]structField{}
	spec := new(file)
	if d.value("", top, reflect.ValueOf(spec).Elem()); top.Kind == yaml.MappingNode && !d.isFull() {
		c := &compiler{decoder: &d, options: &options, unknown: map[string]bool{}}
		f := c.file(spec)
		if c.count(spec) {
			c.check(f)
		}
		if len(c.mistakes) == 0 {
			f.sum = sha256.Sum256(data)
			return f, nil
		}
	}
	return nil, d.mistakes.bounded()
}

// bounded returns ms in order, and at most maxMistakes of them.
func (ms Mistakes) bounded() Mistakes {
	ms = ms.sorted()
	if len(ms) > maxMistakes {
		next := *ms[maxMistakes]
		next.Field, next.Reason = "", fmt.Sprintf("more mistakes from here on: %d", len(ms)-maxMistakes)
		ms = append(ms[:maxMistakes:maxMistakes], &next)
	}
	return ms
}

// Read is [Parse] for a file at path. It reads at most 1 MiB. The error is [Mistakes], or an error
// of package os.
func Read(path string, options Options) (*File, error) {
	data, err := read(path)
	if err != nil {
		return nil, err
	}
	return Parse(data, options)
}

// read returns the content of a file, or a byte more than Parse allows.
func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	return io.ReadAll(io.LimitReader(f, maxBytes+1))
}

// unknownNames returns the names that the options did not have.
func (c *compiler) unknownNames() []string { return slices.Sorted(maps.Keys(c.unknown)) }
