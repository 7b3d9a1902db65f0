package login

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strings"
)

// plainParts reports whether all decoders find the same fields in the parts of a multipart form, of
// which net/http ignores parts that it cannot read, and text after the end. It returns true for
// other forms.
func plainParts(r *http.Request, head []byte) bool {
	kind, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind != "multipart/form-data" {
		return true
	}
	boundary := params["boundary"]
	delete(params, "boundary")
	delete(params, "charset")
	if boundary == "" || strings.ContainsAny(boundary, `"\;,`) || len(params) > 0 {
		return false // PHP takes the first parameter that ends in the word
	}
	delimiters := bytes.Count(head, []byte("--"+boundary))
	if delimiters > maxFields {
		return false
	}
	parts := multipart.NewReader(bytes.NewReader(head), boundary)
	for n := 1; ; n++ { // the last delimiter ends the form
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return n == delimiters
		}
		if err != nil || !isPlainPart(part.Header) {
			return false
		}
	}
}

// isPlainPart reports whether a part says that it is a field, whose name and bytes are as they are.
func isPlainPart(h textproto.MIMEHeader) bool {
	for name, lines := range h {
		text := strings.ToLower(lines[0])
		switch {
		case len(lines) > 1:
			return false
		case name == "Content-Transfer-Encoding":
			if text != "7bit" && text != "8bit" && text != "binary" {
				return false
			}
		case name == "Content-Type":
			_, params, err := mime.ParseMediaType(text)
			if err != nil || !isUTF8([]string{params["charset"]}) {
				return false
			}
		}
	}
	text := h.Get("Content-Disposition")
	if name, ok := strings.CutPrefix(text, `form-data; name="`); ok { // as browsers write it
		name, ok = strings.CutSuffix(name, `"`)
		if ok && name != "" && !strings.ContainsAny(name, `'"\;*`) {
			return true
		}
	}
	kind, params, err := mime.ParseMediaType(text)
	return err == nil && kind == "form-data" && params["name"] != "" &&
		!strings.ContainsAny(params["name"], `'"\`) && !strings.Contains(text, "*")
}
