package fiberlimit_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/adapters/fiberlimit"
	"github.com/ratelimit-go/ratelimit/login"
)

// show is a middleware that calls see with each request.
func show(see func(r *http.Request)) fiber.Handler {
	return fiberlimit.Wrap(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			see(r)
			next.ServeHTTP(w, r)
		})
	})
}

// The middleware gets the request that net/http would have parsed.
func TestRequest(t *testing.T) {
	var seen *http.Request
	app := fiber.New()
	app.Use(show(func(r *http.Request) { seen = r }))
	app.Get("/items/:id", func(c fiber.Ctx) error { return c.SendString(c.Params("id")) })
	addr := serve(t, app)
	answer := raw(t, addr, "GET /items/a%2Fb?q=1 HTTP/1.1\r\nHost: example.com\r\nX-One: 1\r\nx-two: a\r\n"+
		"X-Two: b\r\nCookie: a=1; b=2\r\nCookie: c=3\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"+
		"5\r\nhello\r\n0\r\n\r\n")
	assert.Contains(t, answer, "200 OK")
	assert.Equal(t, "GET", seen.Method)
	assert.Equal(t, "/items/a%2Fb?q=1", seen.RequestURI)
	assert.Equal(t, "/items/a/b", seen.URL.Path)
	assert.Equal(t, "1", seen.URL.Query().Get("q"))
	assert.Equal(t, "example.com", seen.Host)
	assert.Equal(t, "HTTP/1.1", seen.Proto)
	assert.True(t, strings.HasPrefix(seen.RemoteAddr, "127.0.0.1:"), seen.RemoteAddr)
	assert.Equal(t, int64(5), seen.ContentLength)
	assert.Equal(t, []string{"a", "b"}, seen.Header.Values("X-Two"))
	assert.Empty(t, seen.Header.Get("Host"))
	for _, name := range []string{"a", "b", "c"} {
		assert.Len(t, seen.CookiesNamed(name), 1, name)
	}

	answer = raw(t, addr, "GET http://other.example/items/1 HTTP/1.0\r\nHost: example.com\r\n\r\n")
	assert.Contains(t, answer, "200 OK")
	assert.Equal(t, "other.example", seen.Host, "the target says more than the field")
	assert.Equal(t, "HTTP/1.0", seen.Proto)
	assert.Equal(t, "/items/1", seen.URL.Path)
	assert.Equal(t, http.NoBody, seen.Body)

	answer = raw(t, addr, "GET /%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	assert.Contains(t, answer, "400 Bad Request", "no URL")
}

// More fields than a passage has room for are all there.
func TestManyFields(t *testing.T) {
	var seen http.Header
	app := fiber.New()
	app.Use(show(func(r *http.Request) { seen = r.Header }))
	app.Get("/", func(c fiber.Ctx) error { return c.SendString("ok") })
	fields := []string{}
	for i := range 50 {
		fields = append(fields, fmt.Sprint("X-", i), fmt.Sprint(i))
	}
	for _, n := range []int{7, 8, 9, 50} {
		send(t, app, "GET", "/", "", fields[:2*n]...)
		for i := range n {
			assert.Equal(t, []string{fmt.Sprint(i)}, seen.Values(fmt.Sprint("X-", i)))
		}
	}
}

// What a hook keeps does not change when fasthttp uses its memory again, and a body cannot be read
// after its request.
func TestRequestIsKept(t *testing.T) {
	var kept []*http.Request
	app := fiber.New()
	app.Use(show(func(r *http.Request) { kept = append(kept, r) }))
	app.Post("/:id", show(func(r *http.Request) { kept = append(kept, r) }), func(c fiber.Ctx) error {
		return c.SendString("ok")
	})
	addr := serve(t, app)
	text := ""
	for i := range 9 {
		text += fmt.Sprintf("POST /%d HTTP/1.1\r\nHost: h%d\r\nX-Id: %d\r\nContent-Length: 1\r\n", i, i, i)
		if i == 8 {
			text += "Connection: close\r\n"
		}
		text += fmt.Sprintf("\r\n%d", i)
	}
	raw(t, addr, text)
	require.Len(t, kept, 18)
	for i, r := range kept {
		id := fmt.Sprint(i / 2)
		assert.Equal(t, "/"+id, r.URL.Path)
		assert.Equal(t, "h"+id, r.Host)
		assert.Equal(t, id, r.Header.Get("X-Id"))
		if i%2 == 1 {
			assert.Equal(t, id, r.PathValue("id"))
		}
		_, err := io.ReadAll(r.Body)
		assert.ErrorIs(t, err, http.ErrBodyReadAfterClose)
	}
}

type contextKey struct{}

// Values that outer middleware of fiber has put into the context are in the request, and the other
// way round.
func TestContext(t *testing.T) {
	limiter := newLimiter(t, ratelimit.Rule{Name: "all", Limits: ratelimit.MustParse("5 per minute")})
	app := fiber.New()
	app.Use(func(c fiber.Ctx) error {
		c.SetContext(context.WithValue(c.Context(), contextKey{}, "outer"))
		return c.Next()
	}, show(func(r *http.Request) { assert.Equal(t, "outer", r.Context().Value(contextKey{})) }),
		fiberlimit.Handler(limiter))
	app.Get("/x", func(c fiber.Ctx) error {
		d, ok := ratelimit.DecisionFrom(c.Context())
		return c.SendString(fmt.Sprintln(ok, d.Remaining, c.Context().Value(contextKey{})))
	})
	_, body := send(t, app, "GET", "/x", "")
	assert.Equal(t, "true 4 outer\n", body)
}

// A pattern is there on a route, and in Use it is not. A client cannot invent one.
func TestPattern(t *testing.T) {
	var seen []string
	see := show(func(r *http.Request) { seen = append(seen, r.Pattern+" "+r.PathValue("id")) })
	app := fiber.New()
	app.Use(see)
	app.Group("/v1").Get("/items/:id", see, func(c fiber.Ctx) error { return c.SendString("ok") })
	send(t, app, "GET", "/v1/items/7", "")
	send(t, app, "GET", "/v1/other/7", "")
	assert.Equal(t, []string{" ", "/v1/items/:id 7", " "}, seen)
}

// A guard reads a streamed body if it is short and its length is known. The handler reads it again.
// Otherwise the attempt has no account, counts, and the handler still reads all of it.
func TestStreamedBody(t *testing.T) {
	limiter, err := ratelimit.New(ratelimit.Config{})
	require.NoError(t, err)
	guard, err := login.New(limiter, login.Config{
		Account: login.FormField("email"), Succeeded: ratelimit.StatusIn(http.StatusOK),
		PerPair: ratelimit.MustParse("2 per hour"), PerAddress: ratelimit.MustParse("4 per hour"),
	})
	require.NoError(t, err)
	app := fiber.New(fiber.Config{StreamRequestBody: true, BodyLimit: 100, DisablePreParseMultipartForm: true})
	app.Post("/login", fiberlimit.Wrap(guard.Handler), func(c fiber.Ctx) error {
		return c.Status(fiber.StatusUnauthorized).Send(c.Body())
	})
	addr := serve(t, app)
	post := func(framing, body string) string {
		return raw(t, addr, "POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"+
			"Connection: close\r\n"+framing+"\r\n\r\n"+body)
	}
	short := "email=alice&password=x"
	for range 2 {
		answer := post("Content-Length: 22", short)
		assert.Contains(t, answer, "401 Unauthorized")
		assert.Contains(t, answer, short)
	}
	assert.Contains(t, post("Content-Length: 22", short), "429", "the account was found")
	long := "email=bob&password=" + strings.Repeat("x", 200)
	answer := post(fmt.Sprint("Content-Length: ", len(long)), long)
	assert.Contains(t, answer, "401 Unauthorized")
	assert.Contains(t, answer, long, "whole")
	answer = post("Transfer-Encoding: chunked", "16\r\n"+short+"\r\n0\r\n\r\n")
	assert.Contains(t, answer, "401 Unauthorized")
	assert.Contains(t, answer, short)
	assert.Contains(t, post("Transfer-Encoding: chunked", "16\r\n"+short+"\r\n0\r\n\r\n"), "429", "the address")
}

// A middleware never reads more of a streamed body into memory than fiber would.
func TestBodyIsBounded(t *testing.T) {
	var errs []bool
	app := fiber.New(fiber.Config{StreamRequestBody: true, BodyLimit: 100})
	app.Use(show(func(r *http.Request) {
		_, err := io.ReadAll(r.Body)
		errs = append(errs, err != nil)
	}))
	app.Post("/x", func(c fiber.Ctx) error { return c.SendString("ok") })
	addr := serve(t, app)
	for _, text := range []string{
		"Content-Length: 100\r\n\r\n" + strings.Repeat("x", 100),
		"Content-Length: 101\r\n\r\n" + strings.Repeat("x", 101),
		"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
	} {
		assert.Contains(t, raw(t, addr, "POST /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"+text), "200 OK")
	}
	assert.Equal(t, []bool{false, true, true}, errs)
}
