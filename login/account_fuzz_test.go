package login_test

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/login"
)

// maxFuzz is how long an input may be, in bytes.
const maxFuzz = 128

// JSONField reads the string that a handler reads into a struct by encoding/json, or none.
func FuzzJSONField(f *testing.F) {
	email := login.JSONField("email")
	f.Fuzz(func(t *testing.T, body string) {
		if len(body) > maxFuzz {
			t.Skip()
		}
		got := email(httptest.NewRequest("POST", "/", strings.NewReader(body)))
		if got == "" {
			return // it counts as one account that no user has
		}
		var want struct {
			Email string `json:"email"`
		}
		if err := json.NewDecoder(strings.NewReader(body)).Decode(&want); err == nil {
			require.Equal(t, want.Email, got)
		}
	})
}

// JSONField reads what a decoder of encoding/json finds token by token, also at a path. It is
// stricter only for text that is not JSON. So the two agree about all that a handler accepts.
func FuzzJSONFieldAsTokens(f *testing.F) {
	for _, body := range []string{
		`{"user":{"email":"a"}}`, `{"USER":{"x":[1,{"email":"b"}],"eMail":"a"}}`, `{"user":{"email":"a"},"user":null}`,
		`{"user":{"email":"a","email":"b"}}`, `{"user":[{"email":"a"}]}`, `{"user":"email"}`, `{"user":{"email":null}}`,
		`{"user":{"email":"\ud83d\ude00\ud800\u00e9\n\/"}}`, "{\"user\":{\"email\":\"\xff\xfea\"}}", `{"u\u017fer":{"email":"a"}}`,
		`{"x":-1.50e+7,"y":[true,false,null,0],"user":{"email":"a"}}`, `{"x":01,"user":{"email":"a"}}`,
		`{"user":{"email":"a"`, `{"user":{"email":"a"}`, `{"user":{"email":"a"}} {`,
		"{\"x\":\"a\nb\",\"user\":{\"email\":\"a\"}}", `{"x":"\x","user":{"email":"a"}}`,
	} {
		f.Add(body)
	}
	fields := map[string]func(string) string{}
	for _, path := range []string{"user.email", "email", "user"} {
		field := login.JSONField(path)
		fields[path] = func(body string) string {
			return field(httptest.NewRequest("POST", "/", strings.NewReader(body)))
		}
	}
	f.Fuzz(func(t *testing.T, body string) {
		if len(body) > maxFuzz || strings.Count(body, "[")+strings.Count(body, "{") > 30 || strings.Count(body, ",") > 30 {
			t.Skip()
		}
		for path, field := range fields {
			got, want := field(body), byTokens([]byte(body), strings.Split(path, "."))
			if got != want && (got != "" || json.Valid([]byte(body))) {
				t.Fatalf("%s of %q: %q, want %q", path, body, got, want)
			}
		}
	})
}

// byTokens returns the string at a path, as encoding/json finds it.
func byTokens(object []byte, path []string) (found string) {
	dec := json.NewDecoder(bytes.NewReader(object))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return ""
	}
	times := 0
	var member json.RawMessage
	for dec.More() {
		field, err := dec.Token()
		var value json.RawMessage
		if err != nil || dec.Decode(&value) != nil {
			return ""
		}
		if strings.EqualFold(field.(string), path[0]) {
			times++
			member = value
		}
	}
	switch {
	case times != 1:
		return ""
	case len(path) > 1:
		return byTokens(member, path[1:])
	}
	_ = json.Unmarshal(member, &found)
	return found
}
