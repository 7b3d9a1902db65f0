package ratelimit_test

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// What JSONField reads is what a handler reads into a struct by encoding/json.
func FuzzJSONField(f *testing.F) {
	for _, body := range []string{
		`{"email":"a@b"}`, `{"EMAIL":"a@b"}`, `{"email":"x","Email":"a@b"}`, `{"email":"a@b","email":null}`, `{"a":{"email":"x"},"email":"y"} z`,
		`{"em\u0061il":"\u0061"}`, `{"ema\u0131l":"a"}`, `{"email":["a"],"email":"b"}`, `[{"email":"a"}]`, `{"email":"\ud800"}`, `{"email":"a"`, "{\"email\":\"\xff\"}",
	} {
		f.Add(body)
	}
	email := ratelimit.JSONField("email")
	f.Fuzz(func(t *testing.T, body string) {
		if len(body) > maxFuzz {
			t.Skip()
		}
		got := email(httptest.NewRequest("POST", "/", strings.NewReader(body)))
		if got == "" {
			return // counted as one account that nobody has
		}
		var want struct {
			Email string `json:"email"`
		}
		if err := json.NewDecoder(strings.NewReader(body)).Decode(&want); err == nil {
			require.Equal(t, want.Email, got)
		}
	})
}
