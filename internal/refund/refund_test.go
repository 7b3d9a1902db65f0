package refund

import (
	"bytes"
	"context"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// charge is a context that notes its name when it is refunded.
type charge struct {
	context.Context
	name     string
	refunded *[]string
}

func (c charge) Value(key any) any {
	if key == (Key{}) {
		return c
	}
	return c.Context.Value(key)
}

func (c charge) Refund()                { *c.refunded = append(*c.refunded, c.name) }
func (c charge) Outer() context.Context { return c.Context }

func TestAllRefundsInnermostFirst(t *testing.T) {
	var refunded []string
	type other struct{}
	ctx := context.Context(charge{t.Context(), "outer", &refunded})
	ctx = context.WithValue(ctx, other{}, "of a handler between")
	ctx = charge{ctx, "middle", &refunded}
	ctx, cancel := context.WithCancel(charge{ctx, "inner", &refunded})
	defer cancel()
	All(ctx)
	assert.Equal(t, []string{"inner", "middle", "outer"}, refunded)
	assert.Equal(t, "of a handler between", ctx.Value(other{}))
}

func TestAllWithoutACharge(t *testing.T) {
	All(t.Context())
	All(context.WithValue(t.Context(), Key{}, "not a charge"))
}

func TestFrom(t *testing.T) {
	inner := charge{Context: charge{Context: t.Context(), name: "outer"}, name: "inner"}
	assert.Equal(t, inner, From(inner))
	assert.Nil(t, From(t.Context()))
}

// The request has every field that a handler has set, as if the handler had been given the request
// itself.
func TestHandBack(t *testing.T) {
	for name, set := range map[string]func(r *http.Request){
		"Pattern":          func(r *http.Request) { r.Pattern = "POST /{id}" },
		"MultipartForm":    func(r *http.Request) { r.MultipartForm = new(multipart.Form) },
		"URL":              func(r *http.Request) { r.URL = &url.URL{Path: "/inner"} },
		"Method":           func(r *http.Request) { r.Method = http.MethodDelete },
		"RemoteAddr":       func(r *http.Request) { r.RemoteAddr = "192.0.2.9:9" },
		"Host":             func(r *http.Request) { r.Host = "inner.example" },
		"Form":             func(r *http.Request) { r.Form = url.Values{"a": {"1"}} },
		"PostForm":         func(r *http.Request) { r.PostForm = url.Values{"a": {"1"}} },
		"and all others":   func(r *http.Request) { r.Pattern, r.Close, r.Response = "/", true, new(http.Response) },
		"the multipart's":  func(r *http.Request) { r.MultipartForm = &multipart.Form{Value: r.Form} },
		"values of a path": func(r *http.Request) { r.Pattern = "/{id}"; r.SetPathValue("id", "7") },
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/outer", strings.NewReader("body"))
			ctx, body, want := r.Context(), r.Body, r.WithContext(r.Context())
			given := r.WithContext(context.WithValue(ctx, Key{}, "a limiter's"))
			set(want)
			set(given)
			given.Body = http.NoBody
			HandBack(r, given)
			assert.Equal(t, want, r)
			assert.Equal(t, ctx, r.Context())
			assert.Equal(t, body, r.Body)
			if given.Form != nil && r.Form != nil {
				given.Form.Set("later", "1")
				assert.Equal(t, given.Form, r.Form, "the same map")
			}
		})
	}
}

// The server removes the files of an upload, although only a copy of the request was parsed.
func TestHandBackLetsTheServerRemoveFiles(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	filesIn := func() []os.DirEntry {
		entries, err := os.ReadDir(temp)
		require.NoError(t, err)
		return entries
	}
	during := make(chan int, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		given := r.WithContext(context.WithValue(r.Context(), Key{}, "a limiter's"))
		defer HandBack(r, given)
		assert.NoError(t, given.ParseMultipartForm(0))
		during <- len(filesIn())
	}))
	defer server.Close()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	file, err := form.CreateFormFile("file", "large.bin")
	require.NoError(t, err)
	_, err = file.Write(make([]byte, 11<<20)) // net/http keeps 10 MB in memory
	require.NoError(t, err)
	require.NoError(t, form.Close())
	resp, err := server.Client().Post(server.URL, form.FormDataContentType(), &body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	server.Close() // waits for the end of the request
	assert.Equal(t, 1, <-during)
	assert.Empty(t, filesIn())
}
