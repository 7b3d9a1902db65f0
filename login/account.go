package login

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// maxLoginBody bounds what JSONField reads of a body, in bytes.
const maxLoginBody = 64 << 10

// FormField returns a function for [Login.Account] that reads a field of a posted form, from which
// the handler can read it again. One that is there twice, or in the query too, is none, since it
// is not known which one the handler will go by; nor is one in the query alone. A body of
// more than 64 KiB is not read any further, and is one without the field: the handler finds an empty
// form, and no error. FormField panics if name is empty.
func FormField(name string) func(*http.Request) string {
	mustName("FormField", name)
	return func(r *http.Request) string {
		if r.PostForm == nil && r.Body != nil {
			body := r.Body
			r.Body = http.MaxBytesReader(nil, body, maxLoginBody)
			defer func() { r.Body = body }() // of which nothing was read if it is no form
		}
		value := r.PostFormValue(name)
		if len(r.Form[name]) > 1 { // with those of the query
			return ""
		}
		return value
	}
}

// JSONField returns a function for [Login.Account] that reads a string from the object that is
// the request's body, and leaves the body to the handler as it was. Case does not count in its name, as
// in encoding/json. A field that is there twice is none, since it is not known which one the
// handler will go by. A body of more than 64 KiB, or that is no object up to the field, is one
// without it. JSONField panics if name is empty.
func JSONField(name string) func(*http.Request) string {
	mustName("JSONField", name)
	return func(r *http.Request) string {
		if r.Body == nil {
			return ""
		}
		head, err := io.ReadAll(io.LimitReader(r.Body, maxLoginBody+1))
		rest := io.Reader(r.Body)
		if err != nil {
			rest = failing{err} // net/http tells it once only
		}
		r.Body = &readAgain{io.MultiReader(bytes.NewReader(head), rest), r.Body}
		if err != nil || len(head) > maxLoginBody {
			return ""
		}
		return jsonString(head, name)
	}
}

// mustName panics if name is empty: no attempt would name an account, and all would count as one.
func mustName(function, name string) {
	if name == "" {
		panic("ratelimit: " + function + `(""): want the name of the field that has the account`)
	}
}

// jsonString returns the string that encoding/json puts into a struct's field of that name, and other
// decoders find by it, if there is one only: encoding/json takes the last that is not null, a map
// the last in this case, others the first. What comes behind the object is not read.
func jsonString(object []byte, name string) string {
	dec := json.NewDecoder(bytes.NewReader(object))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return ""
	}
	found, times := "", 0
	for dec.More() {
		field, err := dec.Token()
		if err != nil {
			return ""
		}
		var value json.RawMessage
		if dec.Decode(&value) != nil {
			return ""
		}
		if text, ok := field.(string); ok && strings.EqualFold(text, name) {
			times++
			_ = json.Unmarshal(value, &found)
		}
	}
	if times != 1 {
		return ""
	}
	return found
}

// failing is what comes behind the head of a body that could not be read to its end.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// readAgain is a body of which the head has been read before.
type readAgain struct {
	io.Reader
	io.Closer
}
