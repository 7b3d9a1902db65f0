package refund

import (
	"bytes"
	"context"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
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

func TestHandBack(t *testing.T) {
	early, late := new(multipart.Form), new(multipart.Form)
	for _, tc := range []struct {
		name     string
		r, given http.Request
		want     *multipart.Form
		pattern  string
	}{
		{name: "nothing"},
		{name: "a form", given: http.Request{MultipartForm: late}, want: late},
		{
			name: "a form that was there before", r: http.Request{MultipartForm: early},
			given: http.Request{MultipartForm: early}, want: early,
		},
		{name: "another form", r: http.Request{MultipartForm: early}, given: http.Request{MultipartForm: late}, want: early},
		{name: "no form anymore", r: http.Request{MultipartForm: early}, want: early},
		{name: "a pattern", given: http.Request{Pattern: "POST /files"}, pattern: "POST /files"},
		{
			name: "the pattern of an inner mux", r: http.Request{Pattern: "/"}, given: http.Request{Pattern: "POST /files"},
			pattern: "POST /files",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			given := tc.given
			HandBack(&tc.r, &tc.given)
			assert.Same(t, tc.want, tc.r.MultipartForm)
			assert.Equal(t, tc.pattern, tc.r.Pattern)
			assert.Equal(t, given.MultipartForm, tc.given.MultipartForm)
			assert.Equal(t, given.Pattern, tc.given.Pattern)
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
