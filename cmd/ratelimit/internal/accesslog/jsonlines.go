package accesslog

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tidwall/gjson"
)

var errJSON = errors.New("the line is no JSON object")

// A jsonTree says what the members of a JSON object mean.
type jsonTree struct {
	fields map[string]setter
	inner  map[string]*jsonTree
	// other returns the setter of any other member, or nil.
	other func(name string) setter
	// anywhere reads the members of all other inner objects too, by the same names.
	anywhere bool
	// need are members without which the line is of another format.
	need []string
}

// maxNesting bounds how deep an object is read.
const maxNesting = 6

func (t *jsonTree) parse(line string, r *raw) error {
	if !strings.HasPrefix(line, "{") || !gjson.Valid(line) {
		return errJSON
	}
	object := gjson.Parse(line)
	for _, name := range t.need {
		if !object.Get(name).Exists() {
			return fmt.Errorf("the line has no %s", quote(name))
		}
	}
	return t.read(object, r, 0)
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
			inner = t
		}
		if inner == nil || depth == maxNesting {
			return nil
		}
		return inner.read(value, r, depth+1)
	}
	if t.anywhere {
		name = strings.ReplaceAll(strings.ToLower(name), "-", "_")
	}
	set := t.fields[name]
	if set == nil && t.other != nil {
		set = t.other(name)
	}
	if set == nil {
		return nil
	}
	if value.IsArray() { // such as the lines of a header field
		for _, one := range value.Array() {
			if err := setJSON(set, name, one, r); err != nil {
				return err
			}
		}
		return nil
	}
	return setJSON(set, name, value, r)
}

func setJSON(set setter, name string, value gjson.Result, r *raw) error {
	text := value.Raw // of a number
	if value.Type == gjson.String {
		text = value.Str
	}
	if text == "" || text == "-" || value.Type == gjson.Null || value.IsObject() {
		return nil
	}
	if err := set(r, text); err != nil {
		return fmt.Errorf("%s: %w", quote(name), err)
	}
	return nil
}
