package login_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/login"
)

// send sends a request as it is, ends its side if last, and returns the status and body of the
// response.
func send(t *testing.T, srv *httptest.Server, text string, last bool) string {
	t.Helper()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, text)
	require.NoError(t, err)
	if last {
		require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	}
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(20*time.Second))) // only a failure waits for it
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return "no response: " + err.Error()
	}
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return fmt.Sprintf("%d %s", resp.StatusCode, body)
}

// A handler behind a Guard finds the body that it would find without the Guard, and net/http
// answers when it would without the Guard.
func TestHandlerFindsTheBody(t *testing.T) {
	t.Parallel() // net/http waits half a second before it closes a connection with an unread body
	tell := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%d bytes, %v", len(b), err)
	})
	deny := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnsupportedMediaType) })
	some := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.CopyN(io.Discard, r.Body, 64<<10+1)
		assert.NoError(t, err)
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	})
	const post = "POST / HTTP/1.1\r\nHost: x\r\n"
	for _, tc := range []struct {
		name    string
		handler http.Handler
		request string
		last    bool
		want    string
	}{
		{
			"a body cut short", tell,
			post + "Content-Length: 1000\r\n\r\n" + `{"email":"a"}`, true, "200 13 bytes, unexpected EOF",
		},
		{
			"a large body that is no form", tell,
			post + "Content-Length: 100000\r\nContent-Type: text/plain\r\n\r\n" + strings.Repeat(" ", 100_000), false,
			"200 100000 bytes, <nil>",
		},
		{
			"a body that the handler does not read", deny,
			post + "Content-Length: 1000\r\nContent-Type: application/xml\r\nExpect: 100-continue\r\n\r\n", false, "415 ",
		},
		{
			"more than the Guard reads", some,
			post + "Content-Length: 100000000\r\n\r\n" + strings.Repeat(" ", 66_000), false, "413 ",
		},
	} {
		for field, account := range map[string]func(*http.Request) string{
			"nothing": nil, "FormField": login.FormField("email"), "JSONField": login.JSONField("email"),
		} {
			if field == "JSONField" && tc.want == "415 " {
				continue // it reads the body
			}
			t.Run(tc.name+" behind "+field, func(t *testing.T) {
				t.Parallel()
				h := tc.handler
				if account != nil {
					h = newGuard(t, newLimiter(t, ratelimit.Config{}), login.Config{Account: account}).Handler(h)
				}
				srv := httptest.NewServer(h)
				defer srv.Close()
				assert.Equal(t, tc.want, send(t, srv, tc.request, tc.last))
			})
		}
	}
}

// A handler finds a form that was read for its account.
func TestHandlerFindsTheForm(t *testing.T) {
	tell := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.PostFormValue("password")) })
	g := newGuard(t, newLimiter(t, ratelimit.Config{}), login.Config{Account: login.FormField("email")})
	srv := httptest.NewServer(g.Handler(tell))
	defer srv.Close()
	resp, err := http.Post(srv.URL, "application/x-www-form-urlencoded", bytes.NewBufferString("email=a&password=b"))
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, "b", string(body))
}

// A handler finds the error of a form that cannot be read to its end, as it does without a Guard.
func TestHandlerFindsTheErrorOfAForm(t *testing.T) {
	parse := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		plain, multi := r.ParseForm(), r.ParseMultipartForm(1<<20)
		fmt.Fprintf(w, "%v, %v, %v, %v", plain, multi, r.PostForm, r.MultipartForm != nil)
	})
	guarded := newGuard(t, newLimiter(t, ratelimit.Config{}), login.Config{Account: login.FormField("email")}).Handler(parse)
	const form, multi = "application/x-www-form-urlencoded", "multipart/form-data; boundary=B"
	for _, tc := range []struct{ name, query, mediaType, body string }{
		{"a semicolon", "", form, "email=a&x=1;y=2"},
		{"no encoding", "", form, "email=a&%zz=2"},
		{"a semicolon in the query", "?a;b", form, "email=a"},
		{"a semicolon in the query of another body", "?a;b", "application/json", "{}"},
		{"multipart that is cut off", "", multi, "--B\r\nContent-Disposition: form-data; name=\"email\"\r\n\r\na"},
		{"a good form", "?q=1", form, "email=a"},
	} {
		want := serve(parse, posted("10.0.0.1", tc.query, tc.mediaType, tc.body)).Body.String()
		got := serve(guarded, posted("10.0.0.1", tc.query, tc.mediaType, tc.body)).Body.String()
		assert.Equal(t, want, got, tc.name)
	}
}

// A body that breaks off names no account, even if what was read is a whole object.
func TestBodyThatBreaksOff(t *testing.T) {
	r := posted("10.0.0.1", "", "application/json", "")
	r.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"email":"alice"}`), broken{}))
	assert.Empty(t, login.JSONField("email")(r))
	body, err := io.ReadAll(r.Body)
	assert.JSONEq(t, `{"email":"alice"}`, string(body), "the handler finds what there is")
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

// broken is a connection that has broken off.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
