package accesslog

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tidwall/gjson"
)

var errJSON = errors.New("the line is no JSON object")

// A jsonTree says what the members of a JSON object mean.
type jsonTree struct {
	fields map[string]setter
	inner  map[string]*jsonTree
	// other notes the value of any other member. It may be nil.
	other func(r *raw, name, value string) error
	// anywhere reads the members of all other inner objects too, by the same names.
	anywhere bool
	// need are members without which the line is of another format. Only detect asks for them.
	need []string
}

// fits reports whether a line has the members that its format needs.
func (t *jsonTree) fits(line string) bool {
	return !slices.ContainsFunc(t.need, func(name string) bool { return !gjson.Get(line, name).Exists() })
}

// maxNesting bounds how deep an object is read.
const maxNesting = 6

func (t *jsonTree) parse(line string, r *raw) error {
	if !strings.HasPrefix(line, "{") || !gjson.Valid(line) {
		return errJSON
	}
	return t.read(gjson.Parse(line), r, 0)
}

func (t *jsonTree) read(object gjson.Result, r *raw, depth int) (err error) {
	object.ForEach(func(name, value gjson.Result) bool {
		err = t.member(name.Str, value, r, depth)
		return err == nil
	})
	return err
}

func (t *jsonTree) member(name string, value gjson.Result, r *raw, depth int) error {
	if value.IsObject() {
		inner := t.inner[name]
		if inner == nil && t.anywhere {
			inner = t.group(name)
		}
		if inner == nil || depth == maxNesting {
			return nil
		}
		return inner.read(value, r, depth+1)
	}
	if t.anywhere && t.fields[name] == nil {
		name = snake(name)
	}
	if t.fields[name] == nil && t.other == nil {
		return nil
	}
	if !value.IsArray() {
		return t.set(name, value, r)
	}
	var err error
	value.ForEach(func(_, one gjson.Result) bool { // such as the lines of a header field
		err = t.set(name, one, r)
		return err == nil
	})
	return err
}

func snake(name string) string { return strings.ReplaceAll(strings.ToLower(name), "-", "_") }

// ofClient are the ends of the names of objects whose members the client names, such as the query.
// A member such as client_ip is not what the server says there.
var ofClient = []string{
	"query", "params", "_args", "_form", "postform", "_body", "cookies", "cookie", "trailers", "trailer",
	"_vars",
}

// group returns the tree of an inner object: t, or the header of the request, or nil to skip it.
func (t *jsonTree) group(name string) *jsonTree {
	name = "_" + snake(name)
	isLast := func(word string) bool { return strings.HasSuffix(name, word) }
	switch {
	case isLast("headers"), isLast("header"):
		if strings.HasPrefix(name, "_res") { // of the response
			return nil
		}
		return header
	case slices.ContainsFunc(ofClient, isLast):
		return nil
	}
	return t
}

// set notes a value that is no object, and no array at the first level.
func (t *jsonTree) set(name string, value gjson.Result, r *raw) (err error) {
	text := value.Raw // of a number
	if value.Type == gjson.String {
		text = value.Str
	}
	if text == "" || text == "-" || value.Type == gjson.Null || value.IsObject() {
		return nil
	}
	if set := t.fields[name]; set != nil {
		err = set(r, text)
	} else if t.other != nil {
		err = t.other(r, name, text)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", quote(name), err)
	}
	return nil
}
