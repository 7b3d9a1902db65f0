package login_test

import (
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
