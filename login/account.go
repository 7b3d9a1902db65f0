package login

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ratelimit-go/ratelimit"
)

// The bounds on what FormField and JSONField read, also of a request that is denied. A login form
// is far below them.
const (
	maxBody   = 8 << 10 // bytes of a body, or of a query string
	maxFields = 32      // fields of a form or an object
)

// FormField returns a function for Config.Account that reads a field of a posted form. The handler
// can read the form again, whole. If the field appears twice, or in the query string, it counts as
// missing, because decoders differ in which value they take. So do names that only some decoders
// take for the same, such as Email and email[].
//
// The field also counts as missing if the form has more than 8 KiB or 32 fields, if decoders differ
// in how to read it (it has a semicolon, or an encoding that is no encoding), or if header fields
// say that its bytes are something else: a Content-Encoding, a charset other than UTF-8 or ASCII,
// two lines of Content-Type. The same is true of each part of a multipart form. FormField panics if
// name is empty.
func FormField(name string) func(*http.Request) string {
	mustName("FormField", name, name)
	plain := plainName(name)
	return func(r *http.Request) string {
		if r.URL != nil && !fewFields(r.URL.RawQuery) || r.PostForm == nil && !parses(r) {
			return ""
		}
		values := 0
		for field, all := range r.Form { // it has the query string too
			if strings.EqualFold(plainName(field), plain) || isWithin(field, name) {
				values += len(all)
			}
		}
		if r.MultipartForm != nil {
			for field := range r.MultipartForm.File {
				if strings.EqualFold(plainName(field), plain) {
					values++
				}
			}
		}
		if values > 1 || !isUTF8(r.Form["_charset_"]) {
			return ""
		}
		return r.PostFormValue(name)
	}
}

// parses parses the form of r, and reports whether it is within the bounds, and all decoders read
// the same. net/http ignores the parts that it cannot read, such as those with a semicolon. Others
// do not. If there are such parts, the handler finds r unparsed, and so the error of net/http.
func parses(r *http.Request) bool {
	form, multi, head := r.Form, r.MultipartForm, []byte(nil)
	if r.Body != nil && isForm(r) {
		var ok bool
		head, ok = readHead(r)
		if !ok || !isPlain(r) || !fewFields(string(head)) || !plainParts(r, head) {
			return false
		}
	}
	err := r.ParseForm()
	if err == nil {
		err = r.ParseMultipartForm(maxBody)
	}
	if err == nil || errors.Is(err, http.ErrNotMultipart) {
		return true
	}
	r.Form, r.PostForm, r.MultipartForm = form, nil, multi
	if head != nil {
		r.Body = &readAgain{bytes.NewReader(head), r.Body}
	}
	return false
}

// plainName returns what some decoders make of the name of a field, as PHP does: without leading
// spaces and text from a NUL on, and with an underscore for what no variable has in its name.
func plainName(name string) string {
	name, _, _ = strings.Cut(name, "\x00")
	name = strings.Map(func(r rune) rune {
		switch r {
		case '.', ' ', '[':
			return '_'
		case ']':
			return -1
		}
		return r
	}, strings.TrimLeft(name, " "))
	return strings.TrimRight(name, "_")
}

// isWithin reports whether field is an element of the named field, such as email[0] of email.
func isWithin(field, name string) bool {
	n := len(name)
	return len(field) > n && field[n] == '[' && strings.EqualFold(field[:n], name)
}

// isForm reports whether net/http would parse the body of r. If not, the body is not read.
func isForm(r *http.Request) bool {
	mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return mediaType == "application/x-www-form-urlencoded" || mediaType == "multipart/form-data"
}

// isPlain reports whether the header fields of r say that its body is plain UTF-8. A handler, or
// what it passes the body on to, may decode what they say, and then find another account.
func isPlain(r *http.Request) bool {
	for _, line := range linesUnder(r.Header, "Content-Encoding") {
		if line != "" && !strings.EqualFold(line, "identity") {
			return false
		}
	}
	text := r.Header.Get("Content-Type")
	_, params, err := mime.ParseMediaType(text)
	if len(linesUnder(r.Header, "Content-Type")) > 1 ||
		strings.Contains(text, "*=") || strings.Contains(text, "*0") ||
		err != nil && strings.Contains(strings.ToLower(text), "charset") {
		return false
	}
	return isUTF8([]string{params["charset"]})
}

// isUTF8 reports whether charsets stand for UTF-8 or a part of it.
func isUTF8(charsets []string) bool {
	for _, charset := range charsets {
		switch strings.ToLower(charset) {
		case "", "utf-8", "utf8", "us-ascii", "ascii":
		default:
			return false
		}
	}
	return true
}

// fewFields reports whether a query string, or a form in that notation, is within the bounds.
func fewFields(text string) bool {
	return len(text) <= maxBody && strings.Count(text, "&") < maxFields
}

// readHead reads the body of r, if it is within the bounds, and replaces it by a body that the
// handler can read whole.
func readHead(r *http.Request) (head []byte, ok bool) {
	if r.ContentLength > maxBody {
		return nil, false
	}
	size := max(r.ContentLength, 0) + bytes.MinRead // ReadFrom wants so much room
	buf := bytes.NewBuffer(make([]byte, 0, size))
	_, err := buf.ReadFrom(io.LimitReader(r.Body, maxBody+1))
	head, rest := buf.Bytes(), io.Reader(r.Body)
	if err != nil {
		rest = failing{err} // net/http returns it only once
	}
	r.Body = &readAgain{io.MultiReader(bytes.NewReader(head), rest), r.Body}
	return head, err == nil && len(head) <= maxBody
}

// JSONField returns a function for Config.Account that reads a string from a JSON object, which is
// the body of the request. A path such as "user.email" names a field of an inner object. The
// handler can read the body again, whole. Letter case does not count in path, as in encoding/json.
// If a field on the path appears twice, it counts as missing, because decoders differ in which
// value they take.
//
// Many handlers choose a decoder by the Content-Type, and then find another account in the same
// bytes. So the field counts as missing if the Content-Type is neither JSON nor text/plain nor
// absent, or has a charset other than UTF-8 or ASCII. So it does with a Content-Encoding, or if the
// query string has the field, as email, user.email or user[email].
//
// The field also counts as missing if the body has more than 8 KiB or is nested deeper than 32
// values, if an object on the path has more than 32 fields, or if the body is no JSON object as far
// as the end of the field. For a name with a dot in it, write a function of your own. JSONField
// panics if path is empty, or if a name in it is.
func JSONField(path string) func(*http.Request) string {
	names := strings.Split(path, ".")
	for _, name := range names {
		mustName("JSONField", path, name)
	}
	return func(r *http.Request) string {
		if r.Body == nil || !isPlain(r) || !maybeJSON(r) || r.URL != nil && inQuery(r.URL.RawQuery, names) {
			return ""
		}
		head, ok := readHead(r)
		if !ok {
			return ""
		}
		return stringAt(head, names)
	}
}

// maybeJSON reports whether no handler reads another format in the body of r than JSON.
func maybeJSON(r *http.Request) bool {
	text := r.Header.Get("Content-Type")
	if text == "" {
		return true
	}
	mediaType, _, err := mime.ParseMediaType(text)
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		return false
	}
	return mediaType == "application/json" || mediaType == "text/json" ||
		mediaType == "text/plain" || strings.HasSuffix(mediaType, "+json")
}

// inQuery reports whether a query string has the field at a path, as email, user.email or
// user[email], or cannot be read.
func inQuery(query string, path []string) bool {
	if query == "" {
		return false
	}
	fields, err := url.ParseQuery(query)
	if err != nil || !fewFields(query) {
		return true
	}
	last, whole := plainName(path[len(path)-1]), plainName(strings.Join(path, "."))
	for field := range fields {
		field = plainName(field)
		if strings.EqualFold(field, last) || strings.EqualFold(field, whole) {
			return true
		}
	}
	return false
}

// mustName panics if a name in path is empty. Without a name all attempts would count as one
// account.
func mustName(function, path, name string) {
	if name == "" {
		panic(fmt.Sprintf("login: %s(%q): want the name of the field that has the account", function, path))
	}
}

// failing is the rest of a body that could not be read to its end.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// readAgain is a body whose head was read before.
type readAgain struct {
	io.Reader
	io.Closer
}

// accountKey returns the key of an account as a client typed it, or the zero Key if the account has
// an invisible character, or bytes that are no UTF-8. Some programs end an account there, some
// databases ignore such characters, and others tell the accounts apart. Some letters, such as a
// long s, are in lower case already, and have the upper case of another letter: hence both.
func accountKey(account string) ratelimit.Key {
	account = strings.TrimSpace(account)
	if strings.ContainsFunc(account, isInvisible) {
		return ratelimit.Key{}
	}
	return ratelimit.UserKey(strings.ToLower(strings.ToUpper(account)))
}

// isInvisible reports whether r shows nothing, or stands for bytes that are no UTF-8.
func isInvisible(r rune) bool {
	return r == utf8.RuneError || (r < ' ' || r > '~') && unicode.In(r, unicode.Cc, unicode.Cf,
		unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point)
}
