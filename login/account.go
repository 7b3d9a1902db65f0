package login

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/ratelimit-go/ratelimit"
)

// maxBody is how many bytes FormField and JSONField read of a body at most.
const maxBody = 64 << 10

// FormField returns a function for Config.Account that reads a field of a posted form. The handler
// can read the form again. If the field appears twice, or in the query string, it counts as
// missing, because decoders differ in which value they take.
//
// It reads at most 64 KiB. In a larger form the field counts as missing, and the handler finds an
// empty form and no error. FormField panics if name is empty.
func FormField(name string) func(*http.Request) string {
	mustName("FormField", name)
	return func(r *http.Request) string {
		if r.PostForm == nil && r.Body != nil {
			body := r.Body
			r.Body = http.MaxBytesReader(nil, body, maxBody)
			defer func() { r.Body = body }() // nothing was read of it if it is no form
		}
		value := r.PostFormValue(name)
		if len(r.Form[name]) > 1 { // r.Form has the query string too
			return ""
		}
		return value
	}
}

// JSONField returns a function for Config.Account that reads a string from a JSON object, which is
// the body of the request. The handler can read the body again, whole. Letter case does not count
// in name, as in encoding/json. If the field appears twice, it counts as missing, because decoders
// differ in which value they take.
//
// The field also counts as missing if the body has more than 64 KiB, or is no JSON object as far as
// the end of the field. JSONField panics if name is empty.
func JSONField(name string) func(*http.Request) string {
	mustName("JSONField", name)
	return func(r *http.Request) string {
		if r.Body == nil {
			return ""
		}
		head, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
		rest := io.Reader(r.Body)
		if err != nil {
			rest = failing{err} // net/http returns it only once
		}
		r.Body = &readAgain{io.MultiReader(bytes.NewReader(head), rest), r.Body}
		if err != nil || len(head) > maxBody {
			return ""
		}
		return jsonString(head, name)
	}
}

// mustName panics if name is empty. Without a name all attempts would count as one account.
func mustName(function, name string) {
	if name == "" {
		panic("login: " + function + `(""): want the name of the field that has the account`)
	}
}

// jsonString returns the string that encoding/json puts into a struct field of that name, if all
// other decoders find the same. Of several fields of that name encoding/json takes the last that is
// not null, a map takes the last of each spelling, and others take the first. Text after the object
// is not read, as encoding/json does not read it.
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

// failing is the rest of a body that could not be read to its end.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// readAgain is a body whose head was read before.
type readAgain struct {
	io.Reader
	io.Closer
}

// accountKey returns the key of an account as a client typed it.
func accountKey(account string) ratelimit.Key {
	return ratelimit.UserKey(strings.ToLower(strings.TrimSpace(account)))
}
