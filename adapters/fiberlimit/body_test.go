package fiberlimit_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"testing"

	"github.com/gofiber/fiber/v3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/adapters/fiberlimit"
	"github.com/ratelimit-go/ratelimit/login"
)

// form returns a form of several parts that names an account.
func form(boundary, account string) string {
	return "--" + boundary + "\r\nContent-Disposition: form-data; name=\"email\"\r\n\r\n" + account +
		"\r\n--" + boundary + "--\r\n"
}

// A body in which net/http finds one account and fiber another does not hide the account of the
// guesses: such attempts have no account and share its limit.
func TestAccountsThatDiffer(t *testing.T) {
	zipped := func(decoy int) string { // the field Comment is not decoded
		var body bytes.Buffer
		w := gzip.NewWriter(&body)
		w.Comment = "\r\n" + form("A", fmt.Sprint("decoy", decoy))
		_, err := w.Write([]byte(form("A", "victim")))
		require.NoError(t, err)
		require.NoError(t, w.Close())
		return body.String()
	}
	two := func(decoy int) string { return form("A", "victim") + form("B", fmt.Sprint("decoy", decoy)) }
	const kind = "multipart/form-data; "
	for _, tc := range []struct {
		name, kind, encoding string
		body                 func(decoy int) string
	}{
		{"two boundaries", kind + "boundary=A; boundary*=utf-8''B", "", two},
		{"a boundary in quotes", kind + `x="; boundary=A"; boundary=B`, "", func(decoy int) string {
			return form(`A"`, "victim") + form("B", fmt.Sprint("decoy", decoy))
		}},
		{"a form in a comment", kind + "boundary=A", "gzip", zipped},
	} {
		t.Run(tc.name, func(t *testing.T) {
			limiter, err := ratelimit.New(ratelimit.Config{})
			require.NoError(t, err)
			guard, err := login.New(limiter, login.Config{
				Account: login.FormField("email"), Succeeded: ratelimit.StatusIn(http.StatusOK),
				PerPair: ratelimit.MustParse("2 per hour"),
			})
			require.NoError(t, err)
			app := fiber.New(fiber.Config{DisablePreParseMultipartForm: true})
			app.Post("/login", fiberlimit.Wrap(guard.Handler), func(c fiber.Ctx) error {
				return c.Status(fiber.StatusUnauthorized).SendString(c.FormValue("email"))
			})
			fields := []string{"Content-Type", tc.kind}
			if tc.encoding != "" {
				fields = append(fields, "Content-Encoding", tc.encoding)
			}
			for i, want := range []int{401, 401, 429} {
				status, _ := send(t, app, "POST", "/login", tc.body(i), fields...)
				assert.Equal(t, want, status, "attempt %d", i)
			}
		})
	}
}
