package login_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/login"
)

// Decoders differ in which parts of a multipart form they take for a field, and in how they decode
// one. Then the account is missing.
func TestPartsThatDecodersReadDifferently(t *testing.T) {
	part := func(head, value string) string {
		return "--B\r\nContent-Disposition: form-data; " + head + "\r\n\r\n" + value + "\r\n"
	}
	const end = "--B--\r\n"
	user := part(`name="user"`, "bob")
	for name, tc := range map[string]struct{ body, want string }{
		"a field":                         {user + end, "bob"},
		"fields":                          {user + part(`name="password"`, "x") + end, "bob"},
		"a name without quotes":           {part("name=user", "bob") + end, "bob"},
		"a type":                          {part("name=\"user\"\r\nContent-Type: text/plain; charset=UTF-8", "bob") + end, "bob"},
		"an encoding that is none":        {part("name=\"user\"\r\nContent-Transfer-Encoding: 8bit", "bob") + end, "bob"},
		"UTF-8 said in a field":           {part(`name="_charset_"`, "UTF-8") + user + end, "bob"},
		"a file of another name":          {user + part(`name="photo"; filename="a.png"`, "x") + end, "bob"},
		"base64":                          {part("name=\"user\"\r\nContent-Transfer-Encoding: base64", "Ym9i") + end, ""},
		"quoted-printable":                {part("name=\"user\"\r\nContent-Transfer-Encoding: quoted-printable", "b=6fb") + end, ""},
		"a charset":                       {part("name=\"user\"\r\nContent-Type: text/plain; charset=utf-7", "bob") + end, ""},
		"a type that is none":             {part("name=\"user\"\r\nContent-Type: text/plain; charset", "bob") + end, ""},
		"a charset said in a field":       {part(`name="_charset_"`, "utf-7") + user + end, ""},
		"a file of the same name":         {user + part(`name="User"; filename="a"`, "alice") + end, ""},
		"a name in single quotes":         {user + part(`name='user'`, "alice") + end, ""},
		"a name with an escaped quote":    {user + part(`name="us\"er"`, "alice") + end, ""},
		"a name that does not end":        {user + part(`name="user`, "alice") + end, ""},
		"a name twice":                    {user + part(`name="x"; name="user"`, "alice") + end, ""},
		"a name of RFC 5987":              {user + part(`name="x"; name*=utf-8\'\'user`, "alice") + end, ""},
		"no name":                         {user + part(`filename="a"`, "alice") + end, ""},
		"two dispositions":                {user + part("name=\"x\"\r\nContent-Disposition: form-data; name=\"user\"", "alice") + end, ""},
		"another disposition":             {user + "--B\r\nContent-Disposition: attachment; name=\"user\"\r\n\r\nalice\r\n" + end, ""},
		"text after the end":              {user + end + part(`name="user"`, "alice") + end, ""},
		"lines without a carriage return": {"--B\nContent-Disposition: form-data; name=\"user\"\n\nalice\n" + user + end, ""},
		"a delimiter within a value":      {part(`name="user"`, "x --B bob") + end, ""},
		"no end":                          {user, ""},
		"33 parts":                        {user + strings.Repeat(part(`name="x"`, "x"), 32) + end, ""},
	} {
		assert.Equal(t, tc.want, login.FormField("user")(posted("10.0.0.1", "", "multipart/form-data; boundary=B", tc.body)), name)
	}
	for mediaType, want := range map[string]string{
		`multipart/form-data; boundary="B"`: "bob", "Multipart/Form-Data; charset=utf-8; BOUNDARY=B": "bob",
		"multipart/form-data; boundary*=utf-8''B": "", "multipart/form-data; boundary*0=B": "", "multipart/form-data": "",
		"multipart/form-data; xboundary=C; boundary=B": "", `multipart/form-data; boundary="B,C"`: "",
	} {
		assert.Equal(t, want, login.FormField("user")(posted("10.0.0.1", "", mediaType, user+end)), mediaType)
	}
	for body, want := range map[string]string{
		"user=bob&_charset_=utf-8": "bob", "user=bob&_charset_=utf-7": "", "user=bob&user[0]=alice": "", "user=bob&USER[$ne]=alice": "",
		"user=bob&userx[0]=alice": "bob",
	} {
		assert.Equal(t, want, login.FormField("user")(posted("10.0.0.1", "", "application/x-www-form-urlencoded", body)), body)
	}
	urlEncoded := posted("10.0.0.1", "", "application/x-www-form-urlencoded; boundary=B", "user=bob")
	assert.Equal(t, "bob", login.FormField("user")(urlEncoded))
}

// An attacker writes one account in many ways of an encoding. These are as many guesses as at one
// account whose name is hidden.
func TestEncodedPartsAreNoFreeGuess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRoute(t, newLimiter(t, ratelimit.Config{Hooks: unreported()}), login.Config{})
		for i := range 40 {
			value := strings.Repeat("=\r\n", i) + "alice" // without effect in quoted-printable
			body := "--B\r\nContent-Disposition: form-data; name=\"user\"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" +
				value + "\r\n--B\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\nx\r\n--B--\r\n"
			r := posted("10.0.0.1", "", "multipart/form-data; boundary=B", body)
			assert.Contains(t, []int{http.StatusUnauthorized, http.StatusTooManyRequests}, serve(s, r).Code)
		}
		assert.Equal(t, int64(5), s.checks.Load())
	})
}
