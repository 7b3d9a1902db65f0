package policyfile

import (
	"fmt"
	"maps"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// A decoder fills the types of spec.go from nodes.
type decoder struct {
	places
	mistakes Mistakes
	fields   map[reflect.Type]map[string]structField
	lines    []string // of the file
}

// places are the nodes of the fields of a file.
type places struct {
	values map[string]*yaml.Node // by field, such as "rules[0].limits"
	failed map[string]bool       // fields with mistakes
	within map[string]bool       // fields with mistakes in them, or in fields in them
}

// A special is a type that reads its node itself.
type special interface {
	decode(d *decoder, field string, n *yaml.Node)
}

// addf adds a mistake at n.
func (d *decoder) addf(n *yaml.Node, field, format string, args ...any) {
	d.failed[field] = true
	for outer := field; !d.within[outer]; outer = parent(outer) {
		d.within[outer] = true
	}
	m := &Mistake{Line: 1, Column: 1, Field: field, Reason: fmt.Sprintf(format, args...)}
	if n != nil {
		m.Line, m.Column = n.Line, n.Column
	}
	d.mistakes = append(d.mistakes, m)
}

// value reads n, which is the value of field, into v.
func (d *decoder) value(field string, n *yaml.Node, v reflect.Value) {
	d.values[field] = n
	if d.isFull() || !d.plain(field, n) {
		return
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	if s, ok := v.Addr().Interface().(special); ok {
		s.decode(d, field, n)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.mapping(field, n, v)
	case reflect.Map:
		d.byName(field, n, v)
	case reflect.Slice:
		d.sequence(field, n, v)
	case reflect.String:
		v.SetString(d.text(field, n))
	case reflect.Bool:
		if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" {
			d.addf(n, field, "%s: want true or false", describe(n))
		}
		v.SetBool(strings.EqualFold(n.Value, "true")) // YAML has True and TRUE too
	default:
		v.SetInt(d.number(field, n))
	}
}

// isFull reports whether there are so many mistakes that more of them help no one.
func (d *decoder) isFull() bool { return len(d.mistakes) >= 10*maxMistakes }

// plain reports whether n has nothing that JSON does not have.
func (d *decoder) plain(field string, n *yaml.Node) bool {
	switch {
	case n.Kind == yaml.AliasNode:
		d.addf(n, field, "*%s is an alias: want the value itself", cutName(n.Value))
	case n.Anchor != "":
		d.addf(n, field, "&%s is an anchor: want the value without it", cutName(n.Anchor))
	case n.Style&yaml.TaggedStyle != 0:
		d.addf(n, field, "%s is a tag: want the value without it", cutName(n.Tag))
	case n.ShortTag() == "!!null":
		d.addf(n, field, "no value: want one, or no field")
	default:
		return true
	}
	return false
}

func cutName(name string) string { return strings.Trim(cut(name), `"`) }

// text returns the text of a scalar.
func (d *decoder) text(field string, n *yaml.Node) string {
	switch {
	case n.Kind != yaml.ScalarNode:
		d.addf(n, field, "%s: want text", describe(n))
	case n.ShortTag() != "!!str" && n.ShortTag() != "!!timestamp":
		d.addf(n, field, "%s: want text, so put it in quotes", describe(n))
	case n.Value == "":
		d.addf(n, field, "empty text: want some, or no field")
	default:
		return n.Value
	}
	return ""
}

// number returns a whole number from 1 on. Zero would mean "no bound" or "the default" in Go, which
// a reader of the file would not expect. 010 is ten for some readers of YAML and eight for others.
func (d *decoder) number(field string, n *yaml.Node) int64 {
	number, err := strconv.ParseInt(n.Value, 10, 32)
	isPlain := n.Value == strconv.FormatInt(number, 10)
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" || err != nil || !isPlain || number < 1 {
		d.addf(n, field, "%s: want a whole number from 1 to 2147483647, or no field", describe(n))
		return 0
	}
	return number
}

// describe says what n is.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	if n.ShortTag() == "!!str" {
		return cut(n.Value)
	}
	return cutName(n.Value)
}

// sequence reads a list.
func (d *decoder) sequence(field string, n *yaml.Node, v reflect.Value) {
	if n.Kind != yaml.SequenceNode {
		d.addf(n, field, "%s: want a list", describe(n))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, child := range n.Content {
		d.value(fmt.Sprintf("%s[%d]", field, i), child, v.Index(i))
	}
}

// byName reads a mapping of names that the file chooses.
func (d *decoder) byName(field string, n *yaml.Node, v reflect.Value) {
	v.Set(reflect.MakeMap(v.Type()))
	d.each(field, n, named, func(key, value *yaml.Node) {
		elem := reflect.New(v.Type().Elem()).Elem()
		d.value(named(field, key.Value), value, elem)
		d.values[named(field, key.Value)] = key
		v.SetMapIndex(reflect.ValueOf(key.Value), elem)
	})
}

// named returns the field of a value that the file has named itself.
func named(field, name string) string { return fmt.Sprintf("%s[%q]", field, name) }

// mapping reads a mapping of the fields of a struct.
func (d *decoder) mapping(field string, n *yaml.Node, v reflect.Value) {
	fields := d.fields[v.Type()]
	if fields == nil {
		fields = fieldsOf(v.Type())
		d.fields[v.Type()] = fields
	}
	seen := map[string]bool{}
	if !d.each(field, n, join, func(key, value *yaml.Node) {
		f, ok := fields[key.Value]
		if !ok {
			d.addf(key, join(field, key.Value), "unknown field%s", suggest(key.Value, maps.Keys(fields)))
			return
		}
		seen[key.Value] = true
		d.value(join(field, key.Value), value, v.Field(f.index))
	}) {
		return
	}
	for name, f := range fields {
		if f.required && !seen[name] {
			d.addf(n, join(field, name), "missing: want it here")
		}
	}
}

// each calls f for each field of a mapping, and reports whether n is one. Its fields are known by
// what join returns.
func (d *decoder) each(
	field string, n *yaml.Node, join func(field, name string) string, f func(key, value *yaml.Node),
) bool {
	if n.Kind != yaml.MappingNode {
		d.addf(n, field, "%s: want a mapping of fields", describe(n))
		return false
	}
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch first, twice := lines[key.Value]; {
		case d.isFull():
			return false
		case key.Kind != yaml.ScalarNode || key.Anchor != "" || key.Style&yaml.TaggedStyle != 0:
			d.addf(key, field, "the name of a field is not plain text")
		case key.ShortTag() == "!!merge":
			d.addf(key, field, "<< merges mappings: want the fields themselves")
		case key.Value == "" || len(key.Value) > maxKey:
			d.addf(key, field, "%s: want a name of 1 to %d bytes", cut(key.Value), maxKey)
		case twice:
			d.addf(key, join(field, key.Value), "twice, first in line %d: want it once", first)
		default:
			lines[key.Value] = key.Line
			f(key, value)
		}
	}
	return true
}

func join(field, name string) string {
	if field == "" {
		return cutName(name)
	}
	return field + "." + cutName(name)
}

// A structField is a field of a type of spec.go.
type structField struct {
	index    int
	required bool
}

// fieldsOf returns the fields of a type of spec.go by their names in files.
func fieldsOf(t reflect.Type) map[string]structField {
	fields := map[string]structField{}
	for i := range t.NumField() {
		name, option, _ := strings.Cut(t.Field(i).Tag.Get("file"), ",")
		if name != "" {
			fields[name] = structField{i, option == "required"}
		}
	}
	return fields
}
