package login_test

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/login"
)

// The types of a body that JSONField reads. A request without one has none of them.
func TestTypesOfJSON(t *testing.T) {
	email := login.JSONField("email")
	for mime, want := range map[string]string{
		"": "alice", "application/json": "alice", "Application/JSON; charset=utf-8": "alice", "text/json": "alice",
		"application/vnd.api+json": "alice", "text/plain;charset=UTF-8": "alice",
		"application/x-www-form-urlencoded": "", "multipart/form-data; boundary=a": "", "application/xml": "",
		"application/yaml": "", "application/x-protobuf": "", "application/json+xml": "", "json": "", "/": "",
	} {
		assert.Equal(t, want, email(posted(address(1), "?q=1", mime, `{"email":"alice"}`)), mime)
	}
	r := posted(address(1), "", "application/json", `{"email":"alice"}`)
	r.Header.Add("Content-Type", "application/xml")
	assert.Empty(t, email(r), "frameworks differ in which line they take")
}

func TestJSONField(t *testing.T) {
	email := login.JSONField("email")
	big := `{"email":"a"}` + strings.Repeat(" ", 64<<10)
	for _, tc := range []struct{ name, body, want string }{
		{"a field", `{"password":"p","email":"a@b"}`, "a@b"},
		{"white space everywhere", " {\n\t\"email\" :\r\n\"a@b\" , \"x\" : { } , \"y\" : [ ] \n} ", "a@b"},
		{"another case, as in encoding/json", `{"EMail":"a@b"}`, "a@b"},
		{"one of several, of which decoders take different ones", `{"email":"x","EMAIL":"a@b"}`, ""},
		{"a null after it, which encoding/json ignores", `{"email":"x","email":null}`, ""},
		{"null", `{"email":null}`, ""},
		{"in an inner object", `{"a":{"email":"x"}}`, ""},
		{"text after the object", `{"email":"a@b"} trailing`, "a@b"},
		{"escapes", `{"em\u0061il":"\u0061@b"}`, "a@b"},
		{"not a string", `{"email":["a"]}`, ""},
		{"no such field", `{}`, ""},
		{"not an object", `["email"]`, ""},
		{"not JSON", `email=a`, ""},
		{"cut off", `{"email":"a@b"`, "a@b"},
		{"cut off in the value", `{"email":"a@`, ""},
		{"a name without quotes", `{email:"a@b"}`, ""},
		{"empty", ``, ""},
		{"too large", big, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/", strings.NewReader(tc.body))
			assert.Equal(t, tc.want, email(r))
			body, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			assert.Equal(t, tc.body, string(body), "the handler reads it again")
		})
	}
	assert.Empty(t, email(&http.Request{}))
}

// A path leads through objects. What would make one decoder find another account than the next
// makes the account missing, at each step of the path.
func TestJSONFieldAtAPath(t *testing.T) {
	deep := login.JSONField("data.user.email")
	for _, tc := range []struct{ name, body, want string }{
		{"a path", `{"v":1,"data":{"x":[],"user":{"email":"a@b","password":"p"}}}`, "a@b"},
		{"another case, as in encoding/json", `{"Data":{"USER":{"eMail":"a@b"}}}`, "a@b"},
		{"escapes", `{"d\u0061ta":{"user":{"email":"\u0061@b"}}}`, "a@b"},
		{"the outer object twice", `{"data":{"user":{"email":"x"}},"data":{"user":{"email":"a@b"}}}`, ""},
		{"the outer object twice, in another case", `{"data":{"user":{"email":"x"}},"DATA":{}}`, ""},
		{"a null after the outer object", `{"data":{"user":{"email":"x"}},"data":null}`, ""},
		{"the inner object twice", `{"data":{"user":{"email":"x"},"user":{}}}`, ""},
		{"the field twice", `{"data":{"user":{"email":"x","Email":"y"}}}`, ""},
		{"the last name elsewhere", `{"email":"x","data":{"email":"x","user":{"email":"a@b"}}}`, "a@b"},
		{"an outer name inside", `{"data":{"data":1,"user":{"email":"a@b"}}}`, "a@b"},
		{"an array of objects", `{"data":{"user":[{"email":"x"}]}}`, ""},
		{"a string instead of an object", `{"data":{"user":"email"}}`, ""},
		{"an object instead of a string", `{"data":{"user":{"email":{"email":"x"}}}}`, ""},
		{"null instead of an object", `{"data":{"user":null}}`, ""},
		{"a name that is the path", `{"data.user.email":"x"}`, ""},
		{"cut off in an inner object", `{"data":{"user":{"email":"x"}`, ""},
		{"an inner object that is no JSON", `{"data":{"user":{"email":"x",}}}`, ""},
		{"32 fields in an inner object", `{"data":{` + strings.Repeat(`"x":1,`, 31) + `"user":{"email":"a@b"}}}`, "a@b"},
		{"33 fields in an inner object", `{"data":{` + strings.Repeat(`"x":1,`, 32) + `"user":{"email":"x"}}}`, ""},
		{"32 values deep", `{"x":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `,"data":{"user":{"email":"a@b"}}}`, "a@b"},
		{"33 values deep", `{"x":` + strings.Repeat("[", 33) + strings.Repeat("]", 33) + `,"data":{"user":{"email":"x"}}}`, ""},
		{"too large", `{"data":{"user":{"email":"x"}}}` + strings.Repeat(" ", 8<<10), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/", strings.NewReader(tc.body))
			assert.Equal(t, tc.want, deep(r))
			body, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			assert.Equal(t, tc.body, string(body), "the handler reads it again")
		})
	}
	const body = `{"data":{"user":{"email":"a@b"}}}`
	for query, want := range map[string]string{
		"": "a@b", "?x=1": "a@b", "?data=1&user=2": "a@b", "?email=x": "", "?data.user.email=x": "", "?Data[user][email]=x": "",
		"?a;b": "", "?data.user_email=x": "", "?+email=x": "", "?email[]=x": "",
	} {
		assert.Equal(t, want, deep(posted(address(1), query, "", body)), query)
	}
}

func TestFormField(t *testing.T) {
	for _, tc := range []struct{ name, query, body, want string }{
		{"in the form", "", "user=bob", "bob"},
		{"in the query, where FormValue looks too", "?user=bob", "", ""},
		{"in both", "?user=bob", "user=alice", ""},
		{"twice", "", "user=bob&user=alice", ""},
		{"nowhere", "?x=1", "y=1", ""},
		{"another field of a similar name", "", "user=bob&user_name=alice&users=alice", "bob"},
		{"twice, in another case", "", "user=bob&User=alice", ""},
		{"twice, once for PHP", "", "user=bob&+user=alice", ""},
		{"twice, once as an array", "", "user=bob&user%5B%5D=alice", ""},
		{"twice, once with a NUL", "", "user=bob&user%00x=alice", ""},
		{"in the query in another case", "?USER=alice", "user=bob", ""},
		{"behind a semicolon", "", "user=bob&x=1;user=alice", ""},
		{"behind a semicolon of the query", "?x=1;user=alice", "user=bob", ""},
		{"an encoded semicolon", "", "user=bob%3B", "bob;"},
		{"behind what is no encoding", "", "user=bob&use%zz=alice", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := posted("10.0.0.1", tc.query, "application/x-www-form-urlencoded", tc.body)
			assert.Equal(t, tc.want, login.FormField("user")(r))
		})
	}
	inner := login.FormField("user[email]")
	for body, want := range map[string]string{
		"user[email]=bob&user[name]=x": "bob", "user[email]=bob&user[Email]=alice": "", "user[email]=bob&user.email=alice": "",
	} {
		assert.Equal(t, want, inner(posted("10.0.0.1", "", "application/x-www-form-urlencoded", body)), body)
	}
}

// A handler, or a service that it passes the body on to, decodes what the header fields say: then
// the bytes that the Guard reads are not the account.
func TestBodiesThatAreDecoded(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	for _, field := range []struct {
		read             func(*http.Request) string
		mediaType, body  string
		typeWithoutValue string // for which net/http reads a form, and a framework any JSON
	}{
		{login.FormField("user"), form, "user=bob", ""},
		{login.JSONField("user"), "application/json", `{"user":"bob"}`, "bob"},
	} {
		for _, tc := range []struct{ encoding, params, want string }{
			{"", "", "bob"},
			{"identity", "", "bob"},
			{"", "; charset=UTF-8", "bob"},
			{"", "; charset=us-ascii", "bob"},
			{"", "; CharSet=utf8", "bob"},
			{"gzip", "", ""},
			{"identity, gzip", "", ""},
			{"br", "", ""},
			{"", "; charset=utf-7", ""},
			{"", "; charset=utf-16le", ""},
			{"", "; charset=ISO-8859-1", ""},
			{"", "; charset=ibm037; x", ""},
			{"", "; charset=utf-8; charset=utf-7", ""},
			{"", "; x", field.typeWithoutValue},
		} {
			r := posted("10.0.0.1", "", field.mediaType+tc.params, field.body)
			r.Header.Set("Content-Encoding", tc.encoding)
			assert.Equal(t, tc.want, field.read(r), "%s%s, %s", field.mediaType, tc.params, tc.encoding)
		}
		r := posted("10.0.0.1", "", field.mediaType, field.body)
		r.Header.Add("Content_Encoding", "gzip")
		assert.Empty(t, field.read(r))
		r = posted("10.0.0.1", "", field.mediaType, field.body)
		r.Header.Add("Content_TYPE", field.mediaType+"; charset=utf-7")
		assert.Empty(t, field.read(r))
		r = posted("10.0.0.1", "", field.mediaType, field.body)
		r.Header.Add("Content-Type", "text/plain")
		assert.Empty(t, field.read(r))
		r = posted("10.0.0.1", "", field.mediaType, field.body)
		r.Header.Add("Content-Encoding", "identity")
		r.Header.Add("Content-Encoding", "gzip")
		assert.Empty(t, field.read(r))
	}
}

func TestFormFieldIsBounded(t *testing.T) {
	r := attempt("10.0.0.1", strings.Repeat("x", 64<<10), "p")
	assert.Empty(t, login.FormField("user")(r))
	assert.Equal(t, "bob", login.FormField("user")(attempt("10.0.0.1", "bob", "p")))
}

func TestFieldsWithoutAName(t *testing.T) {
	assert.PanicsWithValue(t, `login: FormField(""): want the name of the field that has the account`, func() { login.FormField("") })
	assert.PanicsWithValue(t, `login: JSONField(""): want the name of the field that has the account`, func() { login.JSONField("") })
	for _, path := range []string{".", "user.", ".email", "user..email"} {
		assert.PanicsWithValue(t, fmt.Sprintf(`login: JSONField(%q): want the name of the field that has the account`, path),
			func() { login.JSONField(path) })
	}
}

// A passwords is a login route that counts whose passwords it has checked. The password of every
// account is "secret".
type passwords map[string]int

func (p passwords) behind(
	t *testing.T, field func(*http.Request) string, read func(*http.Request) (account, password string),
) http.Handler {
	check := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		account, password := read(r)
		p[account]++
		if password != "secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.WriteHeader(http.StatusOK)
	})
	return newGuard(t, newLimiter(t, ratelimit.Config{}), login.Config{Account: field}).Handler(check)
}

// asStruct and asMap read JSON as handlers do.
func asStruct(r *http.Request) (account, password string) {
	var form struct{ Email, Password string }
	_ = json.NewDecoder(r.Body).Decode(&form)
	return form.Email, form.Password
}

func asMap(r *http.Request) (account, password string) {
	form := map[string]any{}
	_ = json.NewDecoder(r.Body).Decode(&form)
	account, _ = form["email"].(string)
	password, _ = form["password"].(string)
	return account, password
}

// asNestedStruct and asNestedMap read the account of an inner object.
func asNestedStruct(r *http.Request) (account, password string) {
	var form struct {
		User     struct{ Email string }
		Password string
	}
	_ = json.NewDecoder(r.Body).Decode(&form)
	return form.User.Email, form.Password
}

func asNestedMap(r *http.Request) (account, password string) {
	var form struct {
		User     map[string]string
		Password string
	}
	_ = json.NewDecoder(r.Body).Decode(&form)
	return form.User["email"], form.Password
}

func asXML(r *http.Request) (account, password string) {
	var form struct {
		Email string `xml:"email"`
	}
	_ = xml.NewDecoder(r.Body).Decode(&form)
	return form.Email, ""
}

// An attacker with many addresses sends the account in a form that the handler reads differently.
// There are as many guesses at it as at one account whose name is hidden.
func TestAccountThatTheHandlerReadsDifferently(t *testing.T) {
	asForm := func(r *http.Request) (account, password string) { return r.FormValue("email"), r.FormValue("password") }
	const form = "application/x-www-form-urlencoded"
	for _, tc := range []struct {
		name              string
		field             func(*http.Request) string
		read              func(*http.Request) (account, password string)
		query, mime, body string // N is another number for each attempt
	}{
		{"a null after it", login.JSONField("email"), asStruct, "", "", `{"email":"alice","email":null}`},
		{"another case after it", login.JSONField("email"), asMap, "", "", `{"email":"alice","EMAIL":"userN"}`},
		{"in the query", login.FormField("email"), asForm, "?email=alice", form, "x=N"},
		{"in the query and in the body", login.FormField("email"), asForm, "?email=alice", "multipart", "userN"},
		{"in the query beside JSON", login.JSONField("email"), asForm, "?Email=bob&email=alice", "", `{"email":"userN"}`},
		{"in a query that is half read", login.JSONField("email"), asForm, "?a;b&email=alice", "", `{"email":"userN"}`},
		{"in a form that is JSON too", login.JSONField("email"), asForm, "", form, `{"email":"userN","x":"&email=alice&y="}`},
		{
			"in a form after JSON", login.JSONField("email"), asForm, "", "multipart/form-data; boundary=B",
			"{\"email\":\"userN\"}\r\n--B\r\nContent-Disposition: form-data; name=\"email\"\r\n\r\nalice\r\n--B--\r\n",
		},
		{
			"in a later object, which a map takes", login.JSONField("user.email"), asNestedMap, "", "",
			`{"user":{"email":"userN"},"user":{"email":"alice"}}`,
		},
		{
			"in the first of two objects, which a struct merges", login.JSONField("user.email"), asNestedStruct, "", "",
			`{"user":{"email":"alice"},"User":{"x":N}}`,
		},
		{
			"in XML inside JSON", login.JSONField("email"), asXML, "", "application/xml",
			`{"email":"userN","x":"<r><email>alice</email></r>"}`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := passwords{}
				h := s.behind(t, tc.field, tc.read)
				for i := range 100 {
					mime, body := tc.mime, strings.ReplaceAll(tc.body, "N", fmt.Sprint(i))
					if mime == "multipart" {
						mime, body = multipartForm(t, "email", body)
					}
					serve(h, posted(address(i), tc.query, mime, body))
				}
				assert.Equal(t, 20, s["alice"])
			})
		})
	}
}

func multipartForm(t *testing.T, name, value string) (mediaType, body string) {
	var b strings.Builder
	w := multipart.NewWriter(&b)
	require.NoError(t, w.WriteField(name, value))
	require.NoError(t, w.Close())
	return w.FormDataContentType(), b.String()
}
