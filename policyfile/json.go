package policyfile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// loadJSON returns the top node of data, which is valid JSON.
func loadJSON(data []byte) (*yaml.Node, *Mistake) {
	j := &jsonReader{data: data, decoder: json.NewDecoder(bytes.NewReader(data)), line: 1, column: 1}
	j.decoder.UseNumber()
	top := j.value(0)
	return top, j.mistake
}

// A jsonReader makes nodes of JSON. It knows their lines and columns, which encoding/json does not.
type jsonReader struct {
	data    []byte
	decoder *json.Decoder
	mistake *Mistake

	offset, line, column int
}

// value returns the next value. It returns nil at a closing bracket, and after a mistake.
func (j *jsonReader) value(depth int) *yaml.Node {
	if j.mistake != nil {
		return nil
	}
	n := j.place()
	token, err := j.decoder.Token()
	switch {
	case err != nil:
		j.mistake = &Mistake{Line: n.Line, Column: n.Column, Reason: "not JSON: " + cut(err.Error())}
		return nil
	case depth > maxDepth:
		j.mistake = &Mistake{Line: n.Line, Column: n.Column, Reason: errTooDeep.Error()}
		return nil
	}
	switch token := token.(type) {
	case json.Delim:
		if token == '}' || token == ']' {
			return nil
		}
		n.Kind, n.Tag = yaml.MappingNode, "!!map"
		if token == '[' {
			n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
		}
		for child := j.value(depth + 1); child != nil; child = j.value(depth + 1) {
			n.Content = append(n.Content, child)
		}
	case string:
		n.Tag, n.Value, n.Style = "!!str", token, yaml.DoubleQuotedStyle
	case json.Number:
		n.Tag, n.Value = "!!float", token.String()
		if _, err := token.Int64(); err == nil {
			n.Tag = "!!int"
		}
	case bool:
		n.Tag, n.Value = "!!bool", fmt.Sprint(token)
	default:
		n.Tag, n.Value = "!!null", "null"
	}
	return n
}

// place returns a scalar node at the place of the next token.
func (j *jsonReader) place() *yaml.Node {
	next := int(j.decoder.InputOffset())
	for next < len(j.data) && bytes.IndexByte([]byte(" \t\r\n,:"), j.data[next]) >= 0 {
		next++
	}
	for j.offset < next {
		r, n := utf8.DecodeRune(j.data[j.offset:])
		j.offset, j.column = j.offset+n, j.column+1
		if r == '\n' {
			j.line, j.column = j.line+1, 1
		}
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Line: j.line, Column: j.column}
}
