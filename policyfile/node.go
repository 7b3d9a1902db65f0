package policyfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

const (
	maxBytes = 1 << 20
	maxDepth = 20 // of mappings and sequences in each other
	maxKey   = 256
)

// load returns the top node of data, which is YAML or JSON.
func load(data []byte) (*yaml.Node, *Mistake) {
	if len(data) > maxBytes { // with the byte order mark, because read stops right after maxBytes
		return nil, &Mistake{Line: 1, Column: 1, Reason: fmt.Sprintf(
			"the file has %d bytes or more: want at most %d", len(data), maxBytes)}
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if m := checkText(data); m != nil {
		return nil, m
	}
	// YAML is not quite a superset of JSON: it lacks surrogate pairs and tabs as indentation.
	if start := bytes.TrimLeft(data, " \t\r\n"); len(start) > 0 && start[0] == '{' && json.Valid(data) {
		return loadJSON(data)
	}
	return loadYAML(data)
}

// checkText finds bytes that are no text. A line of YAML also ends at U+0085, U+2028 and U+2029. A
// line of most editors does not, so what looks like a comment could be a field.
func checkText(data []byte) *Mistake {
	line, column := 1, 1
	for len(data) > 0 {
		r, n := utf8.DecodeRune(data)
		switch {
		case r == utf8.RuneError && n == 1:
			return &Mistake{Line: line, Column: column, Reason: fmt.Sprintf(
				"byte %#02x is not UTF-8: want a text file in UTF-8", data[0])}
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', r >= 0x7f && r < 0xa0,
			r == '\u2028', r == '\u2029':
			return &Mistake{Line: line, Column: column, Reason: fmt.Sprintf(
				"control character %U: want a text file", r)}
		case r == '\n':
			line, column = line+1, 0
		}
		column++
		data = data[n:]
	}
	return nil
}

func loadYAML(data []byte) (top *yaml.Node, m *Mistake) {
	defer func() {
		if p := recover(); p != nil { // no input is known that does it
			top, m = nil, &Mistake{Line: 1, Column: 1, Reason: fmt.Sprintf("the YAML cannot be read: %v", p)}
		}
	}()
	var doc yaml.Node
	limits := loaderlimits.New(loaderlimits.DepthFunc(checkDepth), loaderlimits.AliasNone())
	err := yaml.Load(data, &doc, yaml.WithPlugin(limits))
	if err != nil {
		return nil, syntax(err, data)
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 || doc.Content[0].ShortTag() == "!!null" {
		return nil, empty()
	}
	return doc.Content[0], nil
}

func empty() *Mistake {
	return &Mistake{Line: 1, Column: 1, Reason: "the file is empty: want at least version: 1"}
}

func checkDepth(depth int, _ *yaml.DepthContext) error {
	if depth > maxDepth {
		return errTooDeep
	}
	return nil
}

var errTooDeep = fmt.Errorf("more than %d levels: want fewer", maxDepth)

const notJSON = "not JSON: "

// syntax returns what the YAML library has found.
func syntax(err error, data []byte) *Mistake {
	not := "not YAML: "
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		not = notJSON
	}
	m := &Mistake{Line: 1, Column: 1, Reason: not + cut(err.Error())}
	var at *yaml.LoadError
	if !errors.As(err, &at) {
		return m
	}
	switch {
	case strings.Contains(at.Message, "no documents"):
		return empty()
	case strings.Contains(at.Message, "found multiple"):
		m.Line, m.Column = second(data)
		m.Reason = "another document begins here: want one in a file"
		return m
	}
	if m.Reason = not + at.Message; at.ContextMsg != "" {
		m.Reason += " " + at.ContextMsg
	}
	if at.ContextMark.Line > 0 && at.ContextMark.Line != at.Mark.Line {
		m.Reason += fmt.Sprintf(" that begins at %d:%d", at.ContextMark.Line, at.ContextMark.Column)
	}
	if at.Mark.Line > 0 {
		m.Line, m.Column = at.Mark.Line, max(at.Mark.Column, 1)
	}
	if errors.Is(err, errTooDeep) || strings.Contains(at.Message, errTooDeep.Error()) {
		m.Reason = errTooDeep.Error()
	}
	line := lineOf(data, m.Line)
	if tabs := strings.HasPrefix(line, "\t") || strings.Contains(line, " \t"); tabs && not != notJSON {
		m.Reason += ": want spaces for indentation, not tabs"
	}
	return m
}

// second returns the place of the second document.
func second(data []byte) (line, column int) {
	begun, ended := false, false
	for i, text := range strings.Split(string(data), "\n") {
		text, _, _ = strings.Cut(text, "#")
		marker, isText := strings.HasPrefix(text, "---"), strings.TrimSpace(text) != ""
		if begun && marker || ended && isText {
			return i + 1, 1
		}
		ended = ended || begun && strings.HasPrefix(text, "...")
		begun = begun || marker || isText && !strings.HasPrefix(text, "%")
	}
	return 1, 1
}

func lineOf(data []byte, line int) string {
	lines := bytes.SplitN(data, []byte("\n"), line+1)
	if line > len(lines) {
		return ""
	}
	return string(lines[line-1])
}
