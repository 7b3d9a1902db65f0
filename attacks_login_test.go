package ratelimit_test

import (
	"context"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// A passwords is a login route that counts which accounts it has checked passwords of. Everybody's
// password is "secret".
type passwords map[string]int

func (p passwords) check(w http.ResponseWriter, account, password string) {
	p[account]++
	if password != "secret" {
		w.WriteHeader(http.StatusUnauthorized)
	}
}

func (p passwords) behind(t *testing.T, field func(*http.Request) string, read func(*http.Request) (account, password string)) http.Handler {
	return newLimiter(t, ratelimit.Config{}).Login(ratelimit.Login{Account: field})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		account, password := read(r)
		p.check(w, account, password)
	}))
}

// asStruct and asMap are how handlers read JSON.
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

func posted(address, query, mediaType, body string) *http.Request {
	r := httptest.NewRequest("POST", "/login"+query, strings.NewReader(body))
	r.Header.Set("Content-Type", mediaType)
	r.RemoteAddr = address + ":1"
	return r
}

// An attacker with an account of his own hides whose password he tries, and logs in in between: that
// neither clears what he has failed, nor makes him known.
func TestAttackLoginHiddenAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := passwords{}
		h := s.behind(t, ratelimit.JSONField("email"), asStruct)
		try := func(account, password string) int {
			body := fmt.Sprintf(`{"email":%q,"password":%q}`, account, password) + strings.Repeat(" ", 64<<10)
			return serve(h, posted("10.0.0.1", "", "application/json", body)).Code
		}
		for range 20 {
			for range 4 {
				try("alice", "guess")
			}
			try("mallory", "secret")
		}
		assert.Equal(t, 5, s["alice"])
	})
}

// An attacker with many addresses sends the account in a way that is read differently by the
// handler: there are as many guesses at it as at one account, and at one that is hidden.
func TestAttackLoginAccountReadTwice(t *testing.T) {
	asForm := func(r *http.Request) (account, password string) { return r.FormValue("email"), r.FormValue("password") }
	const form = "application/x-www-form-urlencoded"
	for _, tc := range []struct {
		name              string
		field             func(*http.Request) string
		read              func(*http.Request) (account, password string)
		query, mime, body string // N is another one for each attempt
	}{
		{"a null behind it", ratelimit.JSONField("email"), asStruct, "", "", `{"email":"alice","email":null}`},
		{"another case behind it", ratelimit.JSONField("email"), asMap, "", "", `{"email":"alice","EMAIL":"userN"}`},
		{"in the query", ratelimit.FormField("email"), asForm, "?email=alice", form, "x=N"},
		{"in the query and in the body", ratelimit.FormField("email"), asForm, "?email=alice", "multipart", "userN"},
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

// An attacker leaves before he is answered, and the handler returns without an answer: that is no
// success, so it clears nothing and makes nobody known.
func TestAttackLoginWithoutAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		checks := 0
		h := newLimiter(t, ratelimit.Config{}).Login(ratelimit.Login{Account: ratelimit.FormField("user")})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Context().Err() != nil {
				return
			}
			checks++
			w.WriteHeader(http.StatusUnauthorized)
		}))
		gone, leave := context.WithCancel(t.Context())
		leave()
		for range 20 {
			for range 4 {
				serve(h, attempt("10.0.0.1", "alice", "guess"))
			}
			serve(h, attempt("10.0.0.1", "alice", "guess").WithContext(gone))
		}
		assert.Equal(t, 5, checks)
	})
}
